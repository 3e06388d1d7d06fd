// Package samplelogs holds one log per nuisance and the policies they are
// explained by: what the demo shows and what the parsers' golden tests read.
//
// A file is named after what is odd about it: `postfix/reject-with-queue-id.log`.
// All names in them are reserved for documentation (RFC 2606, RFC 5737).
package samplelogs

import "embed"

// FS holds policy.yaml and one folder of logs for each format.
//
//go:embed policy.yaml amavis assp cisco-esa courier exchange-tracking exim fortimail haraka kumomta m365-trace mimecast-v1 mimecast-v2 opensmtpd pmg postfix powermta proofpoint-pod qmail rspamd sendmail spamd
var FS embed.FS
