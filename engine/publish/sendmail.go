package publish

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// SendmailOptions name an access map's source, see docs/publishing.md.
type SendmailOptions struct {
	Name    string
	Path    string // "/etc/mail/access"; its database stands beside it
	Command string // "" = "makemap"
}

// NewSendmail publishes to Sendmail's access map. An address gets OK by its
// From: tag, which lets it past blocks of its domain and does not let it relay;
// a domain gets SKIP, which ends the search without deciding. The database is
// made beside the old one and renamed: it counts from the next connection on.
func NewSendmail(o SendmailOptions) Publisher {
	if o.Command == "" {
		o.Command = "makemap"
	}
	s := sendmail(o)
	return &list{name: o.Name, block: block{o.Path}, d: dialect{
		special: `*!"|`,
		lines: func(r row) (map[string]string, []string, error) {
			if r.permit {
				return nil, nil, errors.New("the access map lifts blocks; it has no permit that lifts spam checks alone")
			}
			value := "OK"
			if r.domain {
				value = "SKIP"
			}
			limits := []string{"lifts what the access map and the check of the sender's domain refuse: a milter or an RBL asked with delay_checks off still refuses"}
			return map[string]string{"From:" + r.sender: value}, limits, senderOnly(r, "an access map")
		},
		write: func(key, value string) string { return key + "\t" + value },
		put:   s.put,
		query: s.query,
		lifts: liftsOf("sendmail", "where the access map refused it"),
	}}
}

type sendmail SendmailOptions

func (s sendmail) put(ctx context.Context, _ map[string]string) error {
	text, err := os.ReadFile(s.Path)
	if err != nil {
		return fmt.Errorf("read access map: %w", err)
	}
	fresh := s.Path + ".mailwhy"
	if _, err := runCommand(ctx, firstOfEach(string(text)), s.Command, "hash", fresh); err != nil {
		return errors.Join(err, os.Remove(fresh+".db"))
	}
	if err := os.Rename(fresh+".db", s.Path+".db"); err != nil {
		return fmt.Errorf("put access map in place: %w", err)
	}
	return nil
}

func (s sendmail) query(ctx context.Context, keys []string) (map[string]string, error) {
	out, err := runCommand(ctx, "", s.Command, "-u", "hash", s.Path)
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	for line := range strings.Lines(out) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			for _, wanted := range keys {
				if strings.EqualFold(key, wanted) {
					known[wanted] = value
				}
			}
		}
	}
	return known, nil
}

// firstOfEach drops the lines whose key an earlier line has: makemap refuses a
// key that comes twice, and ours come first.
func firstOfEach(text string) string {
	var kept strings.Builder
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(fields[0], "#") {
			key := strings.ToLower(fields[0])
			if seen[key] {
				continue
			}
			seen[key] = true
		}
		kept.WriteString(line)
	}
	return kept.String()
}
