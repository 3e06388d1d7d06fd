package reply

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// found is the innermost reply of a text.
type found struct {
	code     int
	enhanced string
	text     string // without the codes, one line
	kind     string // the class of rejection a Mimecast log names beside the reply
	remote   bool   // a log says that another server answered so
}

// longestReply is how much of a reply's text is kept, in runes.
const longestReply = 1000

// The patterns run over bounded text and in linear time.
var (
	// a reply: code (571 is outside of RFC 5321 and in use), then a separator,
	// then perhaps an enhanced code
	replyPattern = regexp.MustCompile(`(?:^|[\s'"(;:>,|\]])([245][0-5][0-9]|571)(?:([ \-:])[ ]?#?([245]\.[0-9]{1,3}\.[0-9]{1,3})?|$|\r?\n)`)
	// an enhanced code by itself, which is no part of an address
	enhancedPattern = regexp.MustCompile(`(?:^|[^0-9.\w])([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[^0-9.\w]|\.?$|\.\s)`)
	// what Exim says of a refusal
	rejectedPattern = regexp.MustCompile(`rejected (?:RCPT|MAIL|after DATA|EHLO or HELO|HELO|connection)[^:\n]*: `)
	// what Postfix says of a delivery
	statusPattern = regexp.MustCompile(`(?:dsn=([245]\.[0-9]{1,3}\.[0-9]{1,3}), )?status=[a-z]+ \(`)
)

// introductions are the words that stand before the reply of another server,
// innermost wording first.
func introductions() []string {
	return []string{
		"remote server returned", "the response from the remote server was", "the response was", "the error that the other server returned was",
		"remote host said", "smtp error from remote mail server", "smtp error from remote server",
	}
}

// innermost finds the reply that the others only pass on.
func innermost(text string) found {
	if r, ok := mimecastFields(text); ok {
		return r
	}
	if r, ok := diagnostic(text); ok {
		return r
	}
	before := text
	for _, mark := range []string{"Original message headers:", "----- Original message -----", "--- Below this line is a copy of the message.",
		"------ This is a copy of the message", "------ This is a copy of your message"} {
		if head, _, ok := strings.Cut(before, mark); ok && strings.TrimSpace(head) != "" {
			before = head
		}
	}
	lower := strings.ToLower(before)
	for _, words := range introductions() {
		if at := strings.LastIndex(lower, words); at >= 0 && len(lower) == len(before) {
			if r, ok := reply(paragraph(before[at+len(words):])); ok {
				r.remote = logLine(before)
				return r
			}
		}
	}
	if r, ok := reply(before); ok {
		r.remote = logLine(before) && (strings.Contains(before, " said: ") || strings.Contains(before, "remote mail server"))
		return r
	}
	return codeless(before)
}

// paragraph is the text up to its first blank line; what introduces a reply may
// leave one before it.
func paragraph(text string) string {
	text = strings.TrimLeft(text, ":\n\t ")
	for at := 0; at < len(text); {
		end := strings.IndexByte(text[at:], '\n')
		if end < 0 {
			break
		}
		if strings.TrimSpace(text[at:at+end]) == "" {
			return text[:at]
		}
		at += end + 1
	}
	return text
}

// logLine reports whether an MTA logged a delivery here, so that the server
// that answered is not ours.
func logLine(text string) bool {
	return strings.Contains(text, "status=") || strings.Contains(text, " ** ") || strings.Contains(text, " == ") || strings.Contains(text, "stat=")
}

// reply takes the last of the best-looking replies of a text: in a wrapped one
// the last is the innermost.
func reply(text string) (r found, ok bool) {
	all := replyPattern.FindAllStringSubmatchIndex(text, -1)
	best, bestRank := -1, 0
	for i, m := range all {
		if rank := rankOf(text, m); rank >= bestRank && rank > 0 {
			best, bestRank = i, rank
		}
	}
	if best < 0 {
		return found{}, false
	}
	first := firstLine(text, all, best)
	m := all[first]
	r.code, _ = strconv.Atoi(text[m[2]:m[3]])
	if m[6] >= 0 {
		r.enhanced = text[m[6]:m[7]]
	}
	rest := text[m[1]:]
	r.text = ending(rest, quoteBefore(text, m[2]))
	if first < best {
		r.text = joinLines(r.text, r.code, r.enhanced)
	}
	r.text = tidy(r.text)
	if r.enhanced == "" {
		r.enhanced = enhancedIn(r.text)
	}
	r.text = strings.TrimSpace(strings.TrimPrefix(r.text, r.enhanced))
	return r, true
}

// nearby is how far around a code rankOf looks, in bytes.
const nearby = 40

// rankOf tells how much a match looks like a reply: 3 with an enhanced code of
// its class, 2 where a reply is expected, 1 anywhere before a word, 0 never.
func rankOf(text string, m []int) int {
	code, after := text[m[2]:m[3]], text[m[1]:min(len(text), m[1]+nearby)]
	if m[6] >= 0 {
		if text[m[6]] == code[0] {
			return 3
		}
		return 0
	}
	before := strings.TrimRight(text[max(0, m[2]-nearby):m[2]], " ")
	switch {
	case m[2] < nearby && strings.TrimSpace(before) == "", strings.HasSuffix(before, "\n"), strings.HasSuffix(before, ":"), strings.HasSuffix(before, ";"),
		strings.HasSuffix(before, "'"), strings.HasSuffix(before, `"`), strings.HasSuffix(before, ">"):
		return 2
	}
	word, _, _ := strings.Cut(strings.ToLower(strings.TrimLeft(after, " ")), " ")
	if code[0] == '2' || word != "" && '0' <= word[0] && word[0] <= '9' {
		return 0
	}
	switch strings.Trim(word, ".,;:)") {
	case "", "seconds", "second", "secs", "sec", "minutes", "bytes", "hours", "messages", "recipients", "times", "s", "kb", "mb":
		return 0
	}
	return 1
}

// firstLine goes back from the last line of a reply of several lines
// ("550-5.1.1 ...", "550 5.1.1 ...") to its first.
func firstLine(text string, all [][]int, last int) int {
	code := text[all[last][2]:all[last][3]]
	first := last
	for i := last - 1; i >= 0; i-- {
		m := all[i]
		if text[m[2]:m[3]] != code || m[4] < 0 || text[m[4]:m[5]] != "-" {
			break
		}
		first = i
	}
	return first
}

// joinLines takes the repeated codes out of a reply of several lines, which may
// have been folded into one.
func joinLines(s string, code int, enhanced string) string {
	c := strconv.Itoa(code)
	s = " " + strings.Join(strings.Fields(s), " ")
	for _, sep := range []string{"-", " "} {
		if enhanced != "" {
			s = strings.ReplaceAll(s, " "+c+sep+enhanced, " ")
		}
		s = strings.ReplaceAll(s, " "+c+sep, " ")
	}
	return s
}

// quoteBefore is the quote a reply stands in, 0 for none.
func quoteBefore(text string, at int) byte {
	for i := at - 1; i >= 0 && i > at-24; i-- {
		switch c := text[i]; c {
		case '\'', '"':
			return c
		case ' ', ';', '<', '#', '.', 's', 'm', 't', 'p', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		default:
			return 0
		}
	}
	return 0
}

// ending cuts a reply's text where the reply ends: at its closing quote, or at
// the first line that neither is indented nor repeats a code.
func ending(s string, quote byte) string {
	if quote != 0 {
		for i := 0; i < len(s); i++ {
			if s[i] == quote && (i+1 == len(s) || !letterByte(s[i+1])) {
				return s[:i]
			}
		}
	}
	var b strings.Builder
	for i, line := range strings.Split(s, "\n") {
		switch {
		case i > 0 && strings.TrimSpace(line) == "":
			return b.String()
		case i > 0 && line[0] != ' ' && line[0] != '\t' && !codeStart(line):
			return b.String()
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line)
	}
	return b.String()
}

func codeStart(line string) bool {
	return len(line) > 3 && line[0] >= '2' && line[0] <= '5' && (line[3] == '-' || line[3] == ' ') && unicode.IsDigit(rune(line[1])) && unicode.IsDigit(rune(line[2]))
}

func letterByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// codeless reads a text without a reply code: a rejection type, a local
// failure, an enhanced code alone.
func codeless(text string) found {
	if m := statusPattern.FindStringSubmatchIndex(text); m != nil {
		r := found{text: tidy(text[m[1]:])}
		if m[2] >= 0 {
			r.enhanced = text[m[2]:m[3]]
		}
		return r
	}
	if at := rejectedPattern.FindStringIndex(text); at != nil {
		text = text[at[1]:]
	}
	r := found{enhanced: enhancedIn(text), text: tidy(text)}
	r.text = strings.TrimSpace(strings.TrimPrefix(r.text, r.enhanced))
	return r
}

func enhancedIn(text string) string {
	if m := enhancedPattern.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// tidy makes one line of a reply's text and takes off what a log or a bounce
// put behind it.
func tidy(s string) string {
	if len(s) > 8*longestReply {
		s = strings.ToValidUTF8(s[:8*longestReply], "")
	}
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)), " ")
	for _, mark := range []string{" (in reply to ", "; from=<", ", from=<", " from=<"} {
		if at := strings.Index(s, mark); at >= 0 {
			s = s[:at]
		}
	}
	for strings.HasSuffix(s, ")") && strings.Count(s, ")") > strings.Count(s, "(") {
		s = strings.TrimSuffix(s, ")")
	}
	s = strings.TrimSpace(strings.Trim(s, `'"`))
	if utf8.RuneCountInString(s) > longestReply {
		s = string([]rune(s)[:longestReply])
	}
	return s
}
