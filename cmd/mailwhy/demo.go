package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/config"
	samplelogs "mailwhy/sample-logs"
)

// demoEvery is how often the demo's logs grow by a line.
const demoEvery = 3 * time.Second

func newDemo(s *session) *cobra.Command {
	live := false
	c := &cobra.Command{
		Use:   "demo",
		Short: "the screens over sample logs and policies in a fresh folder, live lines arriving",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if live {
				return s.demoLive(c.Context())
			}
			return s.demo(c.Context())
		},
	}
	c.Flags().BoolVar(&live, "live", false, "over a private Postfix that asks our milter, in a network namespace (root; Postfix has to be installed)")
	return c
}

// demo copies the samples to a folder and from there does what mailwhy always
// does. Without a terminal it follows and serves until it is ended.
func (s *session) demo(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "mailwhy-demo-")
	if err != nil {
		return fmt.Errorf("make demo folder: %w", err)
	}
	defer os.RemoveAll(dir)
	c, err := layDemo(dir, s.now())
	if err != nil {
		return err
	}
	if s.data != "" {
		if c.Data, err = filepath.Abs(s.data); err != nil {
			return fmt.Errorf("find data folder: %w", err)
		}
	}
	fmt.Fprintf(s.stderr, "demo in %s; ask it from a second terminal:\n  mailwhy --data %s search acme\n", dir, c.Data)
	go growDemo(ctx, filepath.Join(dir, "logs"))
	if s.onTerminal() {
		return s.show(ctx, c)
	}
	a, err := app.OpenSoon(ctx, c)
	if err != nil {
		return err
	}
	defer a.Close()
	common, err := s.screenOptions(c)
	if err != nil {
		return err
	}
	return own(ctx, a, common, func(ctx context.Context) error { <-ctx.Done(); return nil })
}

// layDemo copies policy and logs, their times moved so that the newest is of
// today.
func layDemo(dir string, now time.Time) (config.Config, error) {
	c := config.Default(os.Getenv)
	c.Data = filepath.Join(dir, "data")
	c.Policy = filepath.Join(dir, "policy.yaml")
	c.Sources = []string{filepath.Join(dir, "logs", "*.log")}
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o700); err != nil {
		return c, fmt.Errorf("lay demo: %w", err)
	}
	err := fs.WalkDir(samplelogs.FS, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := samplelogs.FS.ReadFile(name)
		if err != nil {
			return err
		}
		to := c.Policy
		if folder := path.Dir(name); folder != "." {
			if !demoShows(name) {
				return nil
			}
			to = filepath.Join(dir, "logs", folder+"-"+path.Base(name))
			data = moveDays(data, now)
		}
		return os.WriteFile(to, data, 0o600)
	})
	if err != nil {
		return c, fmt.Errorf("lay demo: %w", err)
	}
	return c, nil
}

// demoShows leaves out the samples whose nuisance is their dates: moved, they
// would be another nuisance.
func demoShows(name string) bool {
	for _, part := range []string{"leap-day", "new-year", "nul-and-broken", "every-envelope"} {
		if strings.Contains(name, part) {
			return false
		}
	}
	return true
}

var (
	isoDay   = regexp.MustCompile(`\b20\d\d-\d\d-\d\d(T|\b)`)
	bsdDay   = regexp.MustCompile(`(?m)^(<\d+>)?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([ 0-3]\d) \d\d:`)
	epochDay = regexp.MustCompile(`"timestamp": ?"?(1[0-9]{12})\b`)
)

// moveDays moves every stamp of a log by whole days, so that its newest day is
// yesterday.
func moveDays(data []byte, now time.Time) []byte {
	text := string(data)
	var newest time.Time
	note := func(day time.Time) {
		if day.After(newest) && day.Before(now.AddDate(0, 0, 400)) {
			newest = day
		}
	}
	bsd := func(month, day string) (time.Time, bool) {
		at, err := time.Parse("2006 Jan _2", fmt.Sprintf("%d %s %s", now.Year(), month, day))
		if at.After(now) {
			at = at.AddDate(-1, 0, 0)
		}
		return at, err == nil
	}
	for _, day := range isoDay.FindAllString(text, -1) {
		if at, err := time.Parse(time.DateOnly, day[:10]); err == nil {
			note(at)
		}
	}
	for _, m := range bsdDay.FindAllStringSubmatch(text, -1) {
		if at, ok := bsd(m[2], m[3]); ok {
			note(at)
		}
	}
	for _, m := range epochDay.FindAllStringSubmatch(text, -1) {
		if ms, err := strconv.ParseInt(m[1], 10, 64); err == nil {
			note(time.UnixMilli(ms).UTC().Truncate(24 * time.Hour))
		}
	}
	if newest.IsZero() {
		return data
	}
	days := int(now.Truncate(24*time.Hour).AddDate(0, 0, -1).Sub(newest).Hours() / 24)
	text = isoDay.ReplaceAllStringFunc(text, func(day string) string {
		at, err := time.Parse(time.DateOnly, day[:10])
		if err != nil {
			return day
		}
		return at.AddDate(0, 0, days).Format(time.DateOnly) + day[10:]
	})
	text = bsdDay.ReplaceAllStringFunc(text, func(stamp string) string {
		m := bsdDay.FindStringSubmatch(stamp)
		at, ok := bsd(m[2], m[3])
		if !ok {
			return stamp
		}
		return strings.Replace(stamp, m[2]+" "+m[3], at.AddDate(0, 0, days).Format("Jan _2"), 1)
	})
	return []byte(epochDay.ReplaceAllStringFunc(text, func(field string) string {
		m := epochDay.FindStringSubmatch(field)
		ms, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return field
		}
		return strings.Replace(field, m[1], strconv.FormatInt(ms+int64(days)*24*3600*1000, 10), 1)
	}))
}

// demoLines are what keeps arriving, in turn.
var demoLines = []struct {
	file string
	line func(at time.Time, n int) string
}{
	{"mimecast-live.log", func(at time.Time, n int) string {
		return fmt.Sprintf("datetime=%s|aCode=live%08d|acc=C0A0|IP=203.0.113.10|RejType=Envelope Rejected|RejCode=550|Dir=Inbound|headerFrom=|Sender=alice@acme.example|Rcpt=bob@corp.example|Act=Rej|RejInfo=Administrative prohibition - envelope blocked|TlsVer=TLSv1.3|Cphr=TLS_AES_256_GCM_SHA384\n", at.Format("2006-01-02T15:04:05-0700"), n)
	}},
	{"postfix-live.log", func(at time.Time, n int) string {
		return fmt.Sprintf("%s mx1 postfix/smtpd[4242]: NOQUEUE: reject: RCPT from mail.example.net[198.51.100.23]: 550 5.1.1 <nobody%d@corp.example>: Recipient address rejected: User unknown in virtual mailbox table; from=<news@example.net> to=<nobody%d@corp.example> proto=ESMTP helo=<mail.example.net>\n", at.Format("2006-01-02T15:04:05.000000-07:00"), n%7, n%7)
	}},
	{"mimecast-live.log", func(at time.Time, n int) string {
		return fmt.Sprintf("datetime=%s|aCode=grey%08d|acc=C0A0|IP=198.51.100.40|RejType=Connection Attempt|Error=Attempt Greylisted|RejCode=451|Dir=Inbound|headerFrom=|Sender=carol%d@example.org|Rcpt=sue@corp.example|Act=Rej|RejInfo=Internal resource temporarily unavailable\n", at.Format("2006-01-02T15:04:05-0700"), n, n%5)
	}},
}

// growDemo appends a line every few seconds until ctx ends.
func growDemo(ctx context.Context, dir string) {
	tick := time.NewTicker(demoEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			l := demoLines[n%len(demoLines)]
			f, err := os.OpenFile(filepath.Join(dir, l.file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				continue // the folder is going away with the demo
			}
			_, _ = f.WriteString(l.line(at.UTC(), n))
			f.Close()
		}
	}
}
