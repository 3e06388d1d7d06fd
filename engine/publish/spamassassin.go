package publish

import (
	"context"
	"errors"
	"fmt"

	"mailwhy/engine/mail"
)

// SpamAssassinOptions name a configuration file of our own.
type SpamAssassinOptions struct {
	Name    string
	Path    string   // "/etc/spamassassin/60_mailwhy.cf", which amavis reads too
	Command string   // that checks it, "" = "spamassassin"; "none" = no check
	Reload  []string // of spamd or amavis
}

// NewSpamAssassin publishes welcomelist_from lines. They lower a score; what a
// mail server or a policy refuses they cannot lift.
func NewSpamAssassin(o SpamAssassinOptions) Publisher {
	if o.Command == "" {
		o.Command = "spamassassin"
	}
	reload := reloadWith(o.Reload)
	return &list{name: o.Name, block: block{o.Path}, d: dialect{
		special: `*?#'"\`,
		lines: func(r row) (map[string]string, []string, error) {
			switch {
			case r.recipient != "":
				return nil, nil, fmt.Errorf("a welcomelist does not see the recipient: it would let %s write to everyone; make the exception sender>all", r.sender)
			case r.domain:
				return nil, nil, errors.New("a welcomelist names a domain by a pattern, which would let in its sub-domains' look-alikes; name one address")
			}
			return map[string]string{"welcomelist_from " + r.sender: ""}, []string{"lowers the spam score by 100: what is refused for another reason stays refused", "looks at the header from as well, which can be forged"}, nil
		},
		write: func(key, _ string) string { return key },
		put: func(ctx context.Context, values map[string]string) error {
			if o.Command != "none" && len(values) > 0 {
				if _, err := runCommand(ctx, "", o.Command, "--lint"); err != nil {
					return err
				}
			}
			if reload == nil {
				return nil
			}
			return reload(ctx, values)
		},
		lifts: func(m *mail.Message, _ []byte) (bool, string) {
			if m.Format != "amavis" && m.SpamScore == nil {
				return false, "no spam score refused this message, so a welcomelist lifts nothing"
			}
			return true, "where the spam score refused it"
		},
	}}
}
