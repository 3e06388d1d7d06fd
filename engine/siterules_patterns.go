package engine

import (
	"regexp"

	"go.yaml.in/yaml/v3"
)

// sitePattern is a line of a pcre: or regexp: table whose expression Go reads
// the same way. re is nil where the expression could not be read, so that it
// may match anything.
type sitePattern struct {
	re  *regexp.Regexp
	not bool // the line counts where the expression does not match
	siteEntry
}

// longestPattern bounds an expression of a policy file, in bytes.
const longestPattern = 4096

func (l *loader) readSitePattern(c *siteCheck, f map[string]*yaml.Node, e siteEntry) {
	p := sitePattern{siteEntry: e, not: l.boolean(f["not"], "not", false)}
	if key := l.text(f["key"], "key"); key != "" || e.action != siteUnknown {
		var err error
		if p.re, err = regexp.Compile(key); err != nil || len(key) > longestPattern {
			l.problem(f["key"], "key %s of an access entry is not a regular expression of at most %d bytes", quote(key), longestPattern)
			return
		}
	}
	c.patterns = append(c.patterns, p)
}

// match asks a table of patterns: the first line that matches counts. A line
// that cannot be read may have matched before it, so the verdict rests on it.
func (c *siteCheck) match(f *facts, text string) (siteHit, bool) {
	for _, p := range c.patterns {
		if p.re == nil {
			f.askFor(factReputation)
			continue
		}
		if p.re.MatchString(text) != p.not {
			return siteHit{c, p.re.String(), p.siteEntry}, true
		}
	}
	return siteHit{}, false
}

// siteHeaders asks the checks of the header. Of the header's lines a log gives
// the subject at best: what looks at another line may have decided as well.
func (w *walk) siteHeaders() bool {
	f := w.facts
	for i := range w.set.file.site {
		c := &w.set.file.site[i]
		if c.looksAt != "header" {
			continue
		}
		f.askFor(factContent)
		if f.message.Subject == "" {
			continue
		}
		hit, ok := c.match(f, "Subject: "+f.message.Subject)
		if !ok {
			continue
		}
		switch hit.entry.action {
		case siteReject, siteDefer, siteHold, siteDiscard:
			w.trace.site(MomentData, []siteHit{hit}, &hit, StepStop, StageContent)
			return w.stop(siteOutcome(hit.entry.action), StageContent, MomentData, hit.entry.origin, result{})
		}
	}
	return false
}
