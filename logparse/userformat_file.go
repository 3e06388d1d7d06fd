package logparse

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"mailwhy/engine/mail"

	"go.yaml.in/yaml/v3"
)

// shippedFiles are the formats that come as files: what they can do, a user's
// file can.
//
//go:embed formats/*.yaml
var shippedFiles embed.FS

// shippedFormats reads them once; a file of the program's own that is wrong is
// a mistake of the program, found by every test.
var shippedFormats = sync.OnceValue(func() []*UserFormat {
	entries, err := shippedFiles.ReadDir("formats")
	if err != nil {
		panic(err)
	}
	var list []*UserFormat
	for _, entry := range entries {
		file := path.Join("formats", entry.Name())
		data, err := shippedFiles.ReadFile(file)
		if err != nil {
			panic(err)
		}
		u, err := ReadUserFormat(file, data)
		if err != nil {
			panic(err)
		}
		list = append(list, u)
	}
	return list
})

// The form of the file.
type (
	formatFile struct {
		Version     int        `yaml:"version"`
		Name        string     `yaml:"name"`
		Description string     `yaml:"description"`
		Envelope    string     `yaml:"envelope"`
		Detect      detectFile `yaml:"detect"`
		Time        string     `yaml:"time"`
		Rules       []ruleFile `yaml:"rules"`
	}
	detectFile struct {
		Programs []string  `yaml:"programs"`
		Matches  yaml.Node `yaml:"matches"`
	}
	ruleFile struct {
		Match   yaml.Node         `yaml:"match"`
		Outcome yaml.Node         `yaml:"outcome"`
		Phase   mail.Phase        `yaml:"phase"`
		Set     map[string]string `yaml:"set"`
		Repeats bool              `yaml:"repeats"`
		Scores  bool              `yaml:"underscores"`
	}
	outcomeFile struct {
		Field  string            `yaml:"field"`
		Values map[string]string `yaml:"values"`
	}
)

// formatError is what is wrong with a file, and where.
type formatError struct {
	file     string
	line     int
	sentence string
}

func (e *formatError) Error() string { return fmt.Sprintf("%s:%d: %s", e.file, e.line, e.sentence) }

// ReadUserFormat reads the file that describes a format (docs/formats.md). It
// is strict; an error is "file:line: sentence".
func ReadUserFormat(file string, data []byte) (*UserFormat, error) {
	r := formatReader{file: file}
	var f formatFile
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, r.yamlError(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, r.yamlError(err)
	}
	u := &UserFormat{name: f.Name, file: file, syslog: f.Envelope != "none", tags: f.Detect.Programs, layout: f.Time}
	r.head(&root, &f, u)
	for i := range f.Rules {
		u.rules = append(u.rules, r.rule(&f.Rules[i], u))
	}
	if r.err != nil {
		return nil, r.err
	}
	return u, nil
}

// formatReader keeps the first mistake.
type formatReader struct {
	file string
	err  error
}

func (r *formatReader) fail(line int, format string, args ...any) {
	if r.err == nil {
		r.err = &formatError{r.file, max(line, 1), fmt.Sprintf(format, args...)}
	}
}

// yamlError is the decoder's error with its line in front.
func (r *formatReader) yamlError(err error) error {
	words := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:\n  ")
	words, _, _ = strings.Cut(words, "\n")
	line := 1
	if rest, ok := strings.CutPrefix(words, "line "); ok {
		number, sentence, _ := strings.Cut(rest, ": ")
		line, words = int(decimal(number)), sentence
	}
	if key, ok := strings.CutPrefix(words, "field "); ok {
		key, _, _ = strings.Cut(key, " not found")
		words = fmt.Sprintf("unknown key %q", key)
	}
	return &formatError{r.file, max(line, 1), words}
}

// lineOf is the line of a key of the file.
func lineOf(root *yaml.Node, key string) int {
	if len(root.Content) == 0 {
		return 1
	}
	document := root.Content[0]
	for i := 0; i+1 < len(document.Content); i += 2 {
		if document.Content[i].Value == key {
			return document.Content[i].Line
		}
	}
	return document.Line
}

var formatName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,30}$`)

// head checks everything but the rules.
func (r *formatReader) head(root *yaml.Node, f *formatFile, u *UserFormat) {
	if f.Version != 1 {
		r.fail(lineOf(root, "version"), "version must be 1")
	}
	if !formatName.MatchString(f.Name) {
		r.fail(lineOf(root, "name"), "name %q is not a format's name: lower case letters, digits and hyphens", f.Name)
	}
	if slices.ContainsFunc(codedFormats(nil), func(coded format) bool { return coded.name() == f.Name }) {
		r.fail(lineOf(root, "name"), "%s is a format of the program: choose another name", f.Name)
	}
	if f.Envelope != "" && f.Envelope != "syslog" && f.Envelope != "none" {
		r.fail(lineOf(root, "envelope"), "envelope must be syslog or none, not %q", f.Envelope)
	}
	u.detect = r.expression(&f.Detect.Matches, "detect.matches")
	switch {
	case u.syslog && len(u.tags) == 0:
		r.fail(lineOf(root, "detect"), "detect.programs must name the programs whose lines these are")
	case !u.syslog && u.detect == nil:
		r.fail(lineOf(root, "detect"), "detect.matches must say how a line of this format looks")
	case !u.syslog && len(u.tags) > 0:
		r.fail(lineOf(root, "detect"), "detect.programs is for lines behind a syslog envelope")
	}
	if f.Time != "" {
		example := time.Date(2026, time.November, 23, 8, 15, 42, 0, time.UTC).Format(f.Time)
		if _, err := time.Parse(f.Time, example); err != nil || example == f.Time {
			r.fail(lineOf(root, "time"), "time %q is no layout: write how these logs write Mon Jan 2 15:04:05 2006", f.Time)
		}
	}
	if len(f.Rules) == 0 {
		r.fail(lineOf(root, "rules"), "rules must have at least one rule")
	}
}

// expression compiles a regular expression; nil when there is none.
func (r *formatReader) expression(node *yaml.Node, key string) *regexp.Regexp {
	if node.Value == "" {
		return nil
	}
	e, err := regexp.Compile(node.Value)
	if err != nil {
		r.fail(node.Line, "%s: %s", key, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return e
}

// rule reads one rule.
func (r *formatReader) rule(f *ruleFile, u *UserFormat) userRule {
	rule := userRule{line: f.Match.Line, match: r.expression(&f.Match, "match"), set: f.Set, phase: f.Phase, repeats: f.Repeats, scores: f.Scores}
	at := max(f.Match.Line, f.Outcome.Line)
	if rule.match == nil {
		r.fail(at, "a rule must have a match")
		return rule
	}
	if rule.phase == "" {
		rule.phase = mail.PhaseUnknown
	}
	if !slices.Contains(phases, rule.phase) {
		r.fail(at, "phase %q is not known: it is one of %v", f.Phase, phases)
	}
	rule.fields = rule.match.SubexpNames()
	for _, field := range rule.fields {
		if field == "time" && u.layout == "" {
			r.fail(at, "the group time needs the file's time: how these logs write a moment")
		}
	}
	for _, field := range slices.Sorted(maps.Keys(f.Set)) {
		if userFields[field] == nil {
			r.fail(at, "set: %q is no field: it is one of %s", field, strings.Join(settable(), " "))
		}
	}
	r.outcome(&f.Outcome, &rule)
	return rule
}

var phases = []mail.Phase{mail.PhaseConnect, mail.PhaseHelo, mail.PhaseMail, mail.PhaseRcpt, mail.PhaseData, mail.PhaseEndOfData,
	mail.PhaseQueue, mail.PhaseDelivery, mail.PhaseUnknown}

// settable are the fields that a rule may set.
func settable() []string {
	var list []string
	for field, set := range userFields {
		if set != nil {
			list = append(list, field)
		}
	}
	slices.Sort(list)
	return list
}

// outcome reads a word, or which group says it.
func (r *formatReader) outcome(node *yaml.Node, rule *userRule) {
	switch node.Kind {
	case yaml.ScalarNode:
		rule.outcome = node.Value
		r.word(node.Line, node.Value)
	case yaml.MappingNode:
		var f outcomeFile
		if err := node.Decode(&f); err != nil {
			r.fail(node.Line, "outcome must be a word, or a field with its values")
			return
		}
		rule.field, rule.values = f.Field, f.Values
		if !slices.Contains(rule.fields, f.Field) || f.Field == "" {
			r.fail(node.Line, "outcome.field %q is no group of the match", f.Field)
		}
		for _, value := range slices.Sorted(maps.Keys(f.Values)) {
			r.word(node.Line, f.Values[value])
		}
	default:
		r.fail(rule.line, "a rule must have an outcome")
	}
}

// outcomeWords are what may stand as an outcome.
var outcomeWords = []string{string(mail.Rejected), string(mail.Deferred), string(mail.Bounced), string(mail.Expired), string(mail.Held),
	string(mail.Discarded), string(mail.Delivered), byReply, byDelivery, onlyFact, ignored, begins, ends}

func (r *formatReader) word(line int, word string) {
	if !slices.Contains(outcomeWords, word) {
		r.fail(line, "outcome %q is not known: it is one of %s", word, strings.Join(outcomeWords, " "))
	}
}
