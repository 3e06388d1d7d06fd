package reply

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Row is one piece of knowledge. It fits a reply when one of its texts stands
// in it or one of its enhanced codes is the reply's.
type Row struct {
	Texts    []string `yaml:"texts"`    // case does not matter, every dash is a hyphen
	Codes    []int    `yaml:"codes"`    // reply codes it comes with; none = any
	Enhanced []string `yaml:"enhanced"` // enhanced status codes that alone mean this
	Meaning  string   `yaml:"meaning"`  // one sentence
	Cause    string   `yaml:"cause"`
	Side     string   `yaml:"side"`
	Layer    string   `yaml:"layer"`
	Steps    []string `yaml:"steps"`
	Source   string   `yaml:"source"`

	folded []string // Texts as they are compared
}

// Base is a knowledge base. It is immutable and safe for use by many goroutines.
type Base struct {
	rows   []Row
	status map[string]Row // by subject and detail: "7.1"
	codes  map[int]Row
}

//go:embed knowledge/*.yaml
var files embed.FS

// shipped is the knowledge that comes with the program. Its files are read by
// the package's tests, so an error here cannot reach a user.
var shipped = sync.OnceValue(func() *Base {
	folder, err := fs.Sub(files, "knowledge")
	if err != nil {
		return &Base{}
	}
	b, err := Load(folder)
	if err != nil {
		return &Base{}
	}
	return b
})

// LoadOver reads a site's own rows from the *.yaml files of a folder, to be used
// with the knowledge that comes with the program: where two rows fit a reply
// equally well, the site's is the one that counts.
func LoadOver(folder fs.FS) (*Base, error) {
	own, err := Load(folder)
	if err != nil {
		return nil, err
	}
	own.rows = append(own.rows, shipped().rows...)
	for code, row := range shipped().codes {
		if _, ok := own.codes[code]; !ok {
			own.codes[code] = row
		}
	}
	for status, row := range shipped().status {
		if _, ok := own.status[status]; !ok {
			own.status[status] = row
		}
	}
	return own, nil
}

// Load reads a knowledge base from the *.yaml files of a folder: codes.yaml and
// enhanced.yaml give the meaning of codes alone, every other file holds rows.
// The error names the file and what is wrong in it.
func Load(folder fs.FS) (*Base, error) {
	names, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list knowledge: %w", err)
	}
	b := &Base{status: map[string]Row{}, codes: map[int]Row{}}
	for _, name := range names {
		data, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, fmt.Errorf("read knowledge: %w", err)
		}
		if err := b.add(path.Base(name), data); err != nil {
			return nil, fmt.Errorf("read knowledge %s: %w", name, err)
		}
	}
	return b, nil
}

func (b *Base) add(name string, data []byte) error {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	switch name {
	case "codes.yaml":
		var rows []struct {
			Code int `yaml:"code"`
			Row  `yaml:",inline"`
		}
		if err := d.Decode(&rows); err != nil {
			return err
		}
		for _, r := range rows {
			r.Source = "RFC 5321, 4.2"
			b.codes[r.Code] = r.Row
		}
		return nil
	case "enhanced.yaml":
		var rows []struct {
			Code string `yaml:"code"`
			Row  `yaml:",inline"`
		}
		if err := d.Decode(&rows); err != nil {
			return err
		}
		for _, r := range rows {
			r.Source = "RFC 3463 and the registry of RFC 5248, " + strings.ToUpper(r.Code)
			b.status[strings.TrimPrefix(r.Code, "x.")] = r.Row
		}
		return nil
	}
	var rows []Row
	if err := d.Decode(&rows); err != nil {
		return err
	}
	for i, r := range rows {
		if r.Meaning == "" || r.Side == "" || r.Source == "" || len(r.Texts)+len(r.Enhanced) == 0 {
			return fmt.Errorf("row %d lacks a meaning, a side, a source, or what it fits", i+1)
		}
		for _, t := range r.Texts {
			r.folded = append(r.folded, fold(t))
		}
		b.rows = append(b.rows, r)
	}
	return nil
}

// find returns the row that fits best: the longest text, then the code.
func (b *Base) find(r found) (best Row, known bool) {
	text := withoutAddresses(fold(r.text))
	most := 0
	for _, row := range b.rows {
		if s := row.score(r, text); s > most {
			best, most = row, s
		}
	}
	return best, most > 0
}

// The weights of a fit: a vendor's own enhanced code says as much as twenty
// letters of text; codes that contradict cost that much.
const (
	perLetter   = 10
	forEnhanced = 200
	forCode     = 20
	contradicts = -150
)

func (row Row) score(r found, folded string) int {
	s := 0
	for _, t := range row.folded {
		if len(t)*perLetter > s && containsWords(folded, t) {
			s = len(t) * perLetter
		}
	}
	if slices.Contains(row.Enhanced, r.enhanced) {
		s += forEnhanced
	} else if s > 0 && r.enhanced != "" && len(row.Enhanced) > 0 {
		s += contradicts
	}
	switch {
	case s <= 0:
		return 0
	case slices.Contains(row.Codes, r.code):
		s += forCode
	case r.code != 0 && len(row.Codes) > 0:
		if !slices.ContainsFunc(row.Codes, func(c int) bool { return c/100 == r.code/100 }) {
			return 0
		}
		s += contradicts
	}
	// A weak fit that something contradicts is still the best guess there is.
	return max(s, 1)
}

// fold gives the form in which texts are compared.
func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= '\u2010' && r <= '\u2015', r == '\u2212':
			return '-'
		case r == '\u2018' || r == '\u2019':
			return '\''
		}
		return r
	}, s)
	return strings.ToLower(strings.Join(strings.Fields(s), " "))
}

// withoutAddresses blanks words with an @: their owners chose them, and they
// must not look like a reason.
func withoutAddresses(s string) string {
	if !strings.Contains(s, "@") {
		return s
	}
	words := strings.Split(s, " ")
	for i, w := range words {
		if strings.Contains(w, "@") {
			words[i] = "@"
			if strings.HasSuffix(w, ":") {
				words[i] = "@:"
			}
		}
	}
	return strings.Join(words, " ")
}

// containsWords reports whether part stands in s and begins where a word does.
func containsWords(s, part string) bool {
	for at := 0; ; {
		i := strings.Index(s[at:], part)
		if i < 0 {
			return false
		}
		at += i
		if at == 0 || !wordByte(s[at-1]) || !wordByte(part[0]) {
			return true
		}
		at++
	}
}

func wordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c >= 0x80
}

// cutClass splits the class off an enhanced status code: "5.7.1" gives "7.1".
func cutClass(enhanced string) (subject string, ok bool) {
	if len(enhanced) < 5 {
		return "", false
	}
	return enhanced[2:], true
}
