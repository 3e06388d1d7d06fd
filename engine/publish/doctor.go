package publish

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
)

// Finding is one thing that a look at a gateway's configuration tells.
type Finding struct {
	OK       bool   `json:"ok"`
	Sentence string `json:"sentence"`
}

func fine(format string, args ...any) Finding  { return Finding{true, fmt.Sprintf(format, args...)} }
func wrong(format string, args ...any) Finding { return Finding{false, fmt.Sprintf(format, args...)} }

// harmlessChecks never refuse a message.
func harmlessChecks() []string {
	return []string{"permit_mynetworks", "permit_sasl_authenticated", "permit_tls_clientcerts", "permit", "warn_if_reject", "permit_auth_destination"}
}

// Doctor looks whether main.cf asks a sender access map and which checks stand
// before it: what those refuse, no entry of the map can lift.
func (o PostfixOptions) Doctor(ctx context.Context) []Finding {
	c, err := readPostfixConf(ctx, o.ConfigDir)
	if err != nil {
		return []Finding{wrong("postconf cannot be asked: %v", err)}
	}
	table := o.Type + ":" + o.Path
	var before []string
	for _, list := range restrictionLists {
		items := words(c.values[list])
		for i, item := range items {
			if item == table && i > 0 && items[i-1] == "check_sender_access" {
				return o.found(c, list, before)
			}
			if strings.Contains(item, ":") || slices.Contains(harmlessChecks(), item) {
				continue
			}
			if i+1 < len(items) && strings.Contains(items[i+1], ":") {
				item += " " + items[i+1]
			}
			before = append(before, item)
		}
	}
	return []Finding{wrong("main.cf does not ask the map: put `check_sender_access %s` into smtpd_sender_restrictions, before every other check of the sender", table)}
}

func (o PostfixOptions) found(c postfixConf, list string, before []string) []Finding {
	f := []Finding{fine("%s asks check_sender_access %s:%s", list, o.Type, o.Path)}
	before = slices.DeleteFunc(before, func(check string) bool { return check == "check_sender_access" })
	if len(before) > 0 {
		f = append(f, fine("before it stand %s: what they refuse an entry here cannot lift", strings.Join(before, ", ")))
	}
	if d := c.values["recipient_delimiter"]; d != "" {
		f = append(f, fine("recipient_delimiter is %q: an entry for a@d counts for a%sx@d as well", d, d[:1]))
	}
	if o.Type != "texthash" && !postfixMap(o).built() {
		f = append(f, wrong("the database of %s does not exist: run postmap %s:%s", o.Path, o.Type, o.Path))
	}
	return append(f, writable(o.Path)...)
}

// writable looks whether the block of a list file can be written.
func writable(path string) []Finding {
	if _, _, err := (block{path}).read(); err != nil {
		return []Finding{wrong("%v", err)}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return []Finding{wrong("%s does not exist yet: make it, empty if need be, and name it in the gateway's configuration", path)}
	case info.Mode().Perm()&0o002 != 0:
		return []Finding{wrong("%s can be written by everybody, so everybody can let mail in: chmod o-w it", path)}
	}
	return []Finding{fine("%s holds our block, or none yet, and nobody edited it", path)}
}

// DoctorFile looks whether a gateway's own configuration names a list file, and
// whether a rule that refuses stands before the place.
func DoctorFile(config, path string, refusals ...string) []Finding {
	if config == "" {
		return append([]Finding{fine("the gateway's configuration is not named (config:), so nobody looked whether it asks %s", path)}, writable(path)...)
	}
	text, err := os.ReadFile(config)
	if err != nil {
		return []Finding{wrong("the gateway's configuration cannot be read: %v", err)}
	}
	number := 0
	var before []string
	for line := range strings.Lines(string(text)) {
		number++
		said := strings.TrimSpace(line)
		if strings.HasPrefix(said, "#") {
			continue
		}
		if strings.Contains(said, path) {
			f := []Finding{fine("%s:%d names %s", config, number, path)}
			if len(before) > 0 {
				f = append(f, fine("before it can refuse: %s", strings.Join(before, ", ")))
			}
			return append(f, writable(path)...)
		}
		for _, word := range refusals {
			if strings.HasPrefix(said, word) {
				before = append(before, fmt.Sprintf("%s:%d", config, number))
			}
		}
	}
	return []Finding{wrong("%s does not name %s: docs/publishing.md has the lines that it needs", config, path)}
}

// DoctorGate looks whether a gate's place answers and whether a Postfix of this
// machine asks it, with the same answer to a failure as the gate's. setting is
// smtpd_milters, or smtpd_recipient_restrictions for a policy service.
func DoctorGate(ctx context.Context, listen string, failClosed bool, setting string) []Finding {
	kind, address, _ := strings.Cut(listen, ":")
	conn, err := (&net.Dialer{}).DialContext(ctx, map[string]string{"unix": "unix", "inet": "tcp"}[kind], address)
	if err != nil {
		return []Finding{wrong("nobody listens on %s: start mailwhy serve", listen)}
	}
	f := []Finding{fine("it listens on %s", listen)}
	if err := conn.Close(); err != nil {
		f = append(f, wrong("%v", err))
	}
	c, err := readPostfixConf(ctx, "")
	if err != nil {
		return append(f, fine("no Postfix of this machine could be asked whether it uses it"))
	}
	value := c.values[setting]
	if !strings.Contains(value, address) {
		return append(f, wrong("%s of this Postfix does not name it: docs/publishing.md has the line", setting))
	}
	f = append(f, fine("%s names it", setting))
	open := strings.Contains(value, "default_action=accept") || strings.Contains(value, "default_action=DUNNO") || c.values["milter_default_action"] == "accept" && setting == "smtpd_milters"
	if open == failClosed {
		return append(f, wrong("Postfix and fail: do not agree on what becomes of a message when mailwhy is down: default_action=accept (or DUNNO) is open, tempfail is closed"))
	}
	return f
}
