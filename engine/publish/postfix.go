package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"mailwhy/engine/mail"
)

// PostfixOptions name a sender access map, see access(5). Path is its source
// text; our block stands at its head.
type PostfixOptions struct {
	Name      string
	Type      string // lmdb, hash, btree or texthash
	Path      string // "/etc/postfix/sender_access"
	ConfigDir string // of postmap and postfix -c; "" = the system's
}

// NewPostfix publishes to a Postfix sender access map. A Take No Action is
// DUNNO: it hides the map's other entries that match the sender (its domain,
// its parents) and lifts nothing else; OK would switch off every check behind
// it as well. The map has to be asked by check_sender_access, see Doctor.
//
// lmdb takes an entry in while smtpd runs, hash and btree from the next
// connection on, texthash after a reload, which Apply asks for.
func NewPostfix(o PostfixOptions) (Publisher, error) {
	p := postfixMap(o)
	d := dialect{
		special: "*", // nothing in an access map, but what wildcards look like is not worth a doubt
		lines:   p.lines,
		write:   func(key, value string) string { return key + " " + value },
		remove:  p.remove,
		put:     p.put,
		query:   p.query,
		lifts:   p.lifts,
	}
	switch o.Type {
	case "lmdb", "hash", "btree":
	case "texthash":
		d.remove, d.put = nil, p.reload
	default:
		return nil, fmt.Errorf("gateway %s: a Postfix map of type %q cannot be published to: use lmdb, hash, btree or texthash", o.Name, o.Type)
	}
	return &list{name: o.Name, block: block{o.Path}, d: d}, nil
}

type postfixMap PostfixOptions

// dunno is what Take No Action is in an access map.
const dunno = "DUNNO"

func (p postfixMap) lines(r row) (map[string]string, []string, error) {
	switch {
	case r.permit:
		return nil, nil, errors.New("an access map has no permit that lifts spam checks alone: OK would end every check behind it")
	case !r.envelope:
		return nil, nil, errors.New("an access map sees the envelope sender alone, never the header from")
	case r.recipient != "":
		return nil, nil, fmt.Errorf("a sender access map does not see the recipient: it would let %s write to everyone; use the milter or the policy service, or make the exception sender>all", r.sender)
	}
	limits := []string{fmt.Sprintf("lifts only what %s itself lists: an RBL, postscreen, another map, a policy service or a milter still refuses", p.Path)}
	if r.header {
		limits = append(limits, "the header from is not looked at here")
	}
	return map[string]string{r.sender: dunno}, limits, nil
}

func (p postfixMap) database() string { return p.Type + ":" + p.Path }

func (p postfixMap) postmap(ctx context.Context, input string, args ...string) (string, error) {
	argv := []string{"postmap"}
	if p.ConfigDir != "" {
		argv = append(argv, "-c", p.ConfigDir)
	}
	return runCommand(ctx, input, append(append(argv, args...), p.database())...)
}

// put adds entries to the database beside what it holds; without a database it
// is made from the whole text.
func (p postfixMap) put(ctx context.Context, values map[string]string) error {
	if !p.built() {
		_, err := p.postmap(ctx, "")
		return err
	}
	if len(values) == 0 {
		return nil
	}
	var input strings.Builder
	for _, key := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&input, "%s %s\n", key, values[key])
	}
	_, err := p.postmap(ctx, input.String(), "-i", "-r")
	return err
}

func (p postfixMap) built() bool {
	suffix := map[string]string{"lmdb": ".lmdb", "hash": ".db", "btree": ".db"}[p.Type]
	_, err := os.Stat(p.Path + suffix)
	return err == nil
}

// remove takes keys out of the database, or puts the site's own entry back that
// ours had hidden.
func (p postfixMap) remove(ctx context.Context, keys []string, rest []byte) error {
	if !p.built() {
		return nil
	}
	own := accessEntries(rest)
	back := map[string]string{}
	var gone strings.Builder
	for _, key := range keys {
		if value, ok := own[key]; ok {
			back[key] = value
			continue
		}
		gone.WriteString(key + "\n")
	}
	if len(back) > 0 {
		if err := p.put(ctx, back); err != nil {
			return err
		}
	}
	if gone.Len() == 0 {
		return nil
	}
	_, err := p.postmap(ctx, gone.String(), "-d", "-")
	return noneFound(err)
}

// noneFound drops the failure by which postmap says that no key was there.
func noneFound(err error) error {
	var failed *commandError
	var status *exec.ExitError
	if errors.As(err, &failed) && failed.said == "" && errors.As(failed.err, &status) && status.ExitCode() == 1 {
		return nil
	}
	return err
}

func (p postfixMap) reload(ctx context.Context, _ map[string]string) error {
	argv := []string{"postfix"}
	if p.ConfigDir != "" {
		argv = append(argv, "-c", p.ConfigDir)
	}
	_, err := runCommand(ctx, "", append(argv, "reload")...)
	return err
}

func (p postfixMap) query(ctx context.Context, keys []string) (map[string]string, error) {
	out, err := p.postmap(ctx, strings.Join(keys, "\n")+"\n", "-q", "-")
	if err = noneFound(err); err != nil {
		return nil, err
	}
	known := map[string]string{}
	for line := range strings.Lines(out) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok {
			known[key] = value
		}
	}
	return known, nil
}

// lifts tells whether the map itself refused the sender.
func (p postfixMap) lifts(m *mail.Message, rest []byte) (bool, string) {
	if m.Format != "postfix" {
		return false, "this message was refused by another gateway"
	}
	if m.Phase != mail.PhaseRcpt && m.Phase != mail.PhaseMail || m.Reported.Type != "Sender address rejected" {
		what := m.Reported.Type
		if what == "" {
			what = "another check"
		}
		return false, fmt.Sprintf("%s refused it, which a sender access map cannot lift", strings.ToLower(what[:1])+what[1:])
	}
	own := accessEntries(rest)
	for _, key := range accessKeys(m.EnvelopeFrom) {
		if value, ok := own[key]; ok {
			return true, fmt.Sprintf("%s lists %s (%s)", p.Path, key, value)
		}
	}
	return false, fmt.Sprintf("%s lists neither the sender nor its domain: another check refused it", p.Path)
}

// accessKeys are the keys by which Postfix looks a sender up, most telling
// first (access(5), EMAIL ADDRESS PATTERNS; sub-domains match their parents, as
// parent_domain_matches_subdomains has it for access maps by default).
func accessKeys(p mail.Path) []string {
	folded, domain := string(p.Fold()), p.Domain()
	if domain == "" {
		return []string{"<>"} // smtpd_null_access_lookup_key
	}
	keys := []string{folded}
	for d := domain; d != ""; {
		keys = append(keys, d)
		_, d, _ = strings.Cut(d, ".")
	}
	return append(keys, strings.ToLower(p.Local())+"@")
}

// accessEntries reads an access map's text: key, then the rest of the logical
// line. The first entry for a key counts.
func accessEntries(text []byte) map[string]string {
	entries := map[string]string{}
	for _, line := range logicalLines(text) {
		key, value := line.text, ""
		if i := strings.IndexAny(line.text, " \t"); i >= 0 {
			key, value = line.text[:i], strings.TrimSpace(line.text[i:])
		}
		key = strings.ToLower(key)
		if _, ok := entries[key]; !ok {
			entries[key] = value
		}
	}
	return entries
}

type logicalLine struct {
	number int // of its first line, from 1
	text   string
}

// logicalLines joins lines that begin with a space to the one before them and
// leaves comments out (postmap(1), TABLE FORMAT).
func logicalLines(text []byte) []logicalLine {
	var list []logicalLine
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		said := strings.TrimSpace(line)
		switch {
		case said == "" || said[0] == '#':
		case (line[0] == ' ' || line[0] == '\t') && len(list) > 0:
			list[len(list)-1].text += " " + said
		default:
			list = append(list, logicalLine{number, said})
		}
	}
	return list
}
