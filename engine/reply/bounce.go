package reply

import (
	"encoding/json"
	"strconv"
	"strings"
)

// notice is what a delivery status notification says of one recipient.
type notice struct {
	action, status string
	words          string // of the Diagnostic-Code, without its type
	recipient      bool
}

// diagnostic reads the fields of a delivery status notification (RFC 3464):
// those of the first recipient that failed, or of the first there is. A
// diagnostic without a reply is the words of the server that wrote the report.
func diagnostic(text string) (r found, ok bool) {
	n, ok := firstNotice(text)
	if !ok {
		return found{}, false
	}
	if r, ok = reply(n.words); !ok {
		r = found{text: tidy(n.words), enhanced: enhancedIn(n.words)}
	}
	if r.enhanced == "" && r.code == 0 {
		r.enhanced = n.status
	}
	return r, true
}

func firstNotice(text string) (best notice, ok bool) {
	var n notice
	done := func() {
		if n.words != "" || n.status != "" && n.recipient {
			if !ok || best.action != "failed" && n.action == "failed" {
				best, ok = n, true
			}
		}
		n = notice{}
	}
	for _, f := range fieldsOf(text) {
		if f == "" {
			done()
			continue
		}
		name, value, _ := strings.Cut(f, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "final-recipient":
			n.recipient = true
		case "action":
			n.action = strings.ToLower(value)
		case "status":
			n.status = enhancedIn(value)
		case "diagnostic-code":
			n.words = value
			if _, words, cut := strings.Cut(value, ";"); cut {
				n.words = strings.TrimSpace(words)
			}
		}
	}
	done()
	return best, ok
}

// longestField is how much of a folded field is read, in bytes.
const longestField = 8 << 10

// fieldsOf gives the "Name: value" lines of a text with their folded lines.
func fieldsOf(text string) []string {
	var fields []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.TrimSpace(line) == "":
			fields = append(fields, "")
		case (line[0] == ' ' || line[0] == '\t') && len(fields) > 0 && fields[len(fields)-1] != "":
			if last := &fields[len(fields)-1]; len(*last) < longestField {
				*last += " " + strings.TrimSpace(line)
			}
		default:
			fields = append(fields, line)
		}
	}
	return fields
}

// mimecastFields reads the reply a Mimecast log keeps in fields of its own, in
// the pipe form (RejCode=550|RejInfo=...) or as JSON.
func mimecastFields(text string) (r found, ok bool) {
	values := map[string]string{}
	if start := strings.IndexByte(text, '{'); start >= 0 {
		var object map[string]any
		if json.NewDecoder(strings.NewReader(text[start:])).Decode(&object) == nil {
			for k, v := range object {
				switch v := v.(type) {
				case string:
					values[strings.ToLower(k)] = v
				case float64:
					values[strings.ToLower(k)] = strconv.FormatFloat(v, 'f', -1, 64)
				}
			}
		}
	}
	if strings.Contains(text, "|") {
		for part := range strings.SplitSeq(text, "|") {
			if k, v, ok := strings.Cut(part, "="); ok {
				values[strings.ToLower(strings.TrimSpace(k))] = v
			}
		}
	}
	first := func(names ...string) string {
		for _, n := range names {
			if v := strings.TrimSpace(values[n]); v != "" {
				return v
			}
		}
		return ""
	}
	info, kind := first("rejinfo", "rejectioninfo", "err", "error", "deliveryerrors", "receipterrors"), first("rejtype", "rejectiontype")
	code, _ := strconv.Atoi(first("rejcode", "rejectioncode"))
	if info == "" && kind == "" {
		return found{}, false
	}
	if inner, ok := reply(info); ok {
		r = inner
	} else {
		r = found{text: tidy(info), enhanced: enhancedIn(info)}
		r.text = strings.TrimSpace(strings.TrimPrefix(r.text, r.enhanced))
	}
	if r.code == 0 && code >= 200 && code < 600 {
		r.code = code
	}
	if r.text == "" {
		r.text = tidy(kind)
	}
	r.kind = tidy(kind)
	return r, true
}

// token finds the connection code a Mimecast gateway puts in brackets behind
// its reply: letters, digits, - and _, then a region such as us32.
func token(text string) string {
	for at := strings.LastIndexByte(text, '['); at >= 0; at = strings.LastIndexByte(text[:at], '[') {
		end := strings.IndexByte(text[at:min(len(text), at+longestToken)], ']')
		if end < 0 {
			continue
		}
		inside := text[at+1 : at+end]
		code, region, ok := strings.Cut(inside, ".")
		if ok && len(code) >= 16 && len(code) <= 64 && isRegion(region) && strings.Trim(code, tokenLetters) == "" {
			return inside
		}
	}
	return ""
}

// longestToken is the length a token cannot exceed, with its brackets.
const longestToken = 80

const tokenLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func isRegion(s string) bool {
	digits := strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz")
	letters := len(s) - len(digits)
	return letters >= 2 && letters <= 5 && len(digits) >= 1 && len(digits) <= 4 && strings.Trim(digits, "0123456789") == ""
}
