package reply

import (
	"encoding/base64"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// plain gives the readable text of what was pasted: the parts of a bounce that
// say why (never the message it returns), without HTML, with Unix line ends. A line end that a log wrote
// as \n is one too.
func plain(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if parts, ok := parts(text); ok {
		text = parts
	}
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\x00", "").Replace(text)
	if !strings.Contains(text, "{") { // in JSON it is an escape
		text = strings.ReplaceAll(text, `\n`, "\n")
	}
	if lower := strings.ToLower(text); strings.Contains(lower, "</") || strings.Contains(lower, "<br") || strings.Contains(lower, "<p>") {
		text = withoutTags(text)
	}
	return strings.TrimSpace(text)
}

// deepest is how many levels of MIME parts are opened.
const deepest = 5

// parts decodes a whole MIME message (RFC 2045, RFC 6522). ok is false for
// text that is none.
func parts(text string) (string, bool) {
	m, err := mail.ReadMessage(strings.NewReader(strings.TrimLeft(text, "\r\n\t ")))
	if err != nil || m.Header.Get("Content-Type") == "" {
		return "", false
	}
	var b strings.Builder
	walk(&b, header(m.Header.Get), m.Body, deepest)
	return b.String(), b.Len() > 0
}

type header func(name string) string

func walk(b *strings.Builder, h header, body io.Reader, depth int) {
	kind, params, err := mime.ParseMediaType(h("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	switch {
	case strings.HasPrefix(kind, "multipart/") && depth > 0 && params["boundary"] != "":
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextRawPart()
			if err != nil {
				return
			}
			walk(b, p.Header.Get, p, depth-1)
		}
	case kind == "text/plain", kind == "text/html", kind == "message/delivery-status", kind == "message/global-delivery-status":
		switch strings.ToLower(strings.TrimSpace(h("Content-Transfer-Encoding"))) {
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, body)
		case "quoted-printable":
			body = quotedprintable.NewReader(body)
		}
		data, _ := io.ReadAll(body) // what could be decoded
		b.WriteString(strings.ToValidUTF8(string(data), "\uFFFD"))
		b.WriteString("\n\n")
	}
}

// withoutTags takes known HTML tags out; anything else in angle brackets is an
// address and stays.
func withoutTags(s string) string {
	var b strings.Builder
	for s != "" {
		at := strings.IndexByte(s, '<')
		if at < 0 {
			break
		}
		b.WriteString(s[:at])
		s = s[at:]
		name, ok := tagName(s)
		end := strings.IndexByte(s, '>')
		if end < 0 {
			break
		}
		if !ok {
			b.WriteByte('<')
			s = s[1:]
			continue
		}
		switch name {
		case "p", "br", "div", "tr", "h1", "h2", "h3", "li", "table", "pre":
			b.WriteByte('\n')
		default:
			b.WriteByte(' ')
		}
		s = s[end+1:]
	}
	b.WriteString(s)
	return html.UnescapeString(b.String())
}

func tagName(s string) (name string, ok bool) {
	s = strings.TrimPrefix(s[1:], "/")
	end := strings.IndexFunc(s, func(r rune) bool { return r == ' ' || r == '>' || r == '/' || r == '\n' || r == '\t' })
	if end <= 0 || end > 10 {
		return "", false
	}
	name = strings.ToLower(s[:end])
	switch name {
	case "html", "head", "body", "title", "meta", "style", "p", "br", "div", "span", "b", "i", "u", "a", "font", "table", "tbody", "tr", "td", "th",
		"strong", "em", "hr", "ul", "ol", "li", "h1", "h2", "h3", "h4", "tt", "pre", "center", "img", "link", "small", "blockquote", "code":
		return name, true
	}
	return "", false
}
