package publish

import (
	"errors"
)

// OpenSMTPDOptions name a table file that a filter bypasses for, see
// docs/publishing.md.
type OpenSMTPDOptions struct {
	Name    string
	Path    string // the table's file
	Table   string // its name in smtpd.conf
	Command string // "" = "smtpctl"
}

// NewOpenSMTPD publishes to a file table of senders. smtpd takes it in with
// `smtpctl update table`, which Apply runs; nothing can ask smtpd what it has,
// so Verify reads the file.
func NewOpenSMTPD(o OpenSMTPDOptions) Publisher {
	if o.Command == "" {
		o.Command = "smtpctl"
	}
	return &list{name: o.Name, block: block{o.Path}, d: dialect{
		special: `*!{}<>"\=`, // patterns and negation of a table, separators of a mapping
		lines: func(r row) (map[string]string, []string, error) {
			if r.permit {
				return nil, nil, errors.New("the table lifts blocks; smtpd has no permit that lifts spam checks alone")
			}
			key := r.sender
			if r.domain {
				key = "@" + key
			}
			return map[string]string{key: ""}, []string{"lifts the filters that stand behind the bypass in smtpd.conf: a match rule that rejects still does"}, senderOnly(r, "an OpenSMTPD table")
		},
		write: func(key, _ string) string { return key },
		put:   reloadWith([]string{o.Command, "update", "table", o.Table}),
		lifts: liftsOf("opensmtpd", "where a filter refused it that stands behind the bypass"),
	}}
}
