package engine

import (
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Resembles says how a foreign domain could be taken for one of ours, "" when
// it could not: letters of another script or digits that look the same
// (an IDN homograph, RFC 5890 and Unicode TR 39), or at most two typing errors.
// Host names below a domain are looked at with and without the host part. Both
// are folded.
func Resembles(domain, own string) string {
	domains, owns := withParent(domain), withParent(own)
	if domains[len(domains)-1] == owns[len(owns)-1] {
		return "" // a host below our own domain
	}
	if hyphened := strings.NewReplacer(".", "-"); strings.Contains("-"+hyphened.Replace(domain)+"-", "-"+hyphened.Replace(own)+"-") {
		return "carries the name of"
	}
	for _, d := range domains {
		for _, o := range owns {
			switch looksD, looksO := skeleton(d), skeleton(o); {
			case looksD == looksO:
				return "looks the same as"
			case editDistance(d, o) <= 2 || editDistance(looksD, looksO) <= 2:
				return "differs by one or two letters from"
			}
		}
	}
	return ""
}

func withParent(domain string) []string {
	parent, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil || parent == domain {
		return []string{domain}
	}
	return []string{domain, parent}
}

// skeleton maps letters that look alike to one of them.
func skeleton(domain string) string {
	if u, err := idna.ToUnicode(domain); err == nil {
		domain = u
	}
	domain = strings.Map(func(r rune) rune {
		if plain, ok := plainLetter(r); ok {
			return plain
		}
		return r
	}, strings.ToLower(domain))
	return strings.NewReplacer("rn", "m", "vv", "w").Replace(domain)
}

// plainLetter gives the ASCII letter a rune looks like: the Cyrillic, Greek and
// accented Latin ones that registries admit, and digits.
func plainLetter(r rune) (rune, bool) {
	for _, row := range []struct {
		plain rune
		like  string
	}{
		{'a', "аαàáâãäåāăąạảɑ"}, {'b', "ьЬвbḅ"}, {'c', "сçćĉċčϲ"}, {'d', "ԁďđḍ"}, {'e', "еєèéêëēĕėęěẹ3"},
		{'g', "ɡġğģԍ"}, {'h', "һհħḥ"}, {'i', "іїιìíîïĩīĭįıịl1ӏ|"}, {'j', "јϳ"}, {'k', "кκķ"},
		{'m', "мṃ"}, {'n', "пηñńņňṇ"}, {'o', "оοσòóôõöøōŏőọ0"}, {'p', "рρ"}, {'q', "ԛ"}, {'r', "гŕŗř"},
		{'s', "ѕśŝşšṣș5"}, {'t', "тτţťțṭ"}, {'u', "цυùúûüũūŭůűųụ"}, {'v', "ѵν"}, {'w', "ѡωŵԝ"},
		{'x', "хχ"}, {'y', "уγýÿŷ"}, {'z', "źżžẓ"},
	} {
		if strings.ContainsRune(row.like, r) {
			return row.plain, true
		}
	}
	return 0, false
}

// editDistance is the number of single-letter insertions, deletions, replacements
// and swaps of neighbours between two names (Damerau-Levenshtein, optimal
// string alignment). It is cut short: more than two is three.
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	const far = 3
	if d := len(x) - len(y); d >= far || d <= -far {
		return far
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			differ := 1
			if x[i-1] == y[j-1] {
				differ = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+differ)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(y)], far)
}
