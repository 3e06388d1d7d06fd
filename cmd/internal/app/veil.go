package app

import (
	"bytes"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/index"
)

// Veil hides from a person what their role does not see. The zero value hides
// nothing.
type Veil struct{ index.Veil }

// masked stands where something is hidden.
const masked = "***"

// localPart is what stands before the @ of an address in running text.
var localPart = regexp.MustCompile(`[^\s<>"'(),;:\\\[\]@|=]+@`)

// Lifted reports whether nothing is hidden.
func (v Veil) Lifted() bool { return !v.Masks() && len(v.Hidden) == 0 }

// Masks reports whether parts of messages are hidden.
func (v Veil) Masks() bool { return v.Subject || v.LocalParts }

// Sees reports whether a message is there at all: none of its addresses is of a
// hidden mailbox.
func (v Veil) Sees(m *mail.Message) bool {
	for _, p := range []mail.Path{m.Recipient, m.OriginalRecipient, m.EnvelopeFrom, m.HeaderFrom} {
		if v.hides(p) {
			return false
		}
	}
	return true
}

func (v Veil) hides(p mail.Path) bool {
	return slices.ContainsFunc(v.Hidden, func(h string) bool {
		if strings.Contains(h, "@") {
			return mail.Path(h).Fold() == p.Fold()
		}
		return p.Domain() != "" && p.Domain() == mail.FoldDomain(h)
	})
}

// SeesException reports whether an exception speaks of no hidden mailbox.
func (v Veil) SeesException(e exception.Exception) bool {
	for _, value := range []string{e.From.Value, e.To.Value} {
		if v.hides(mail.Path(value)) || !strings.Contains(value, "@") && v.hides(mail.Path("x@"+value)) {
			return false
		}
	}
	return true
}

// Message is a message as the person sees it. Lines of the log are not shown
// where anything in them would have to be masked: what stands where in them is
// anybody's guess.
func (v Veil) Message(m mail.Message) mail.Message {
	if v.Lifted() {
		return m
	}
	m.CloneLines()
	for e := range m.Lines() {
		if v.Masks() || v.names(e.Text) {
			e.Text = "(the line is not shown to your role)"
		}
	}
	if v.Subject && m.Subject != "" {
		m.Subject = masked
	}
	if !v.LocalParts {
		return m
	}
	words := []string{}
	for _, p := range []*mail.Path{&m.EnvelopeFrom, &m.HeaderFrom, &m.Recipient, &m.OriginalRecipient} {
		if local := p.Local(); local != "" {
			words = append(words, local)
		}
		*p = maskPath(*p)
	}
	if m.HeaderFromName != "" {
		words = append(words, m.HeaderFromName)
		m.HeaderFromName = masked
	}
	texts := []*string{&m.Subject, &m.MessageID, &m.Reply.Text, &m.Reported.Type, &m.Reported.Rule, &m.Reported.Detail}
	for i := range m.Hops {
		texts = append(texts, &m.Hops[i].MessageID)
	}
	for _, text := range texts {
		for _, w := range words {
			*text = replaceFold(*text, w)
		}
		*text = v.Text(*text)
	}
	return m
}

// names reports whether a text speaks of a hidden mailbox.
func (v Veil) names(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(v.Hidden, func(h string) bool { return strings.Contains(text, strings.ToLower(h)) })
}

func maskPath(p mail.Path) mail.Path {
	if p.Local() == "" {
		return p
	}
	return mail.Path(masked + "@" + p.Domain())
}

// replaceFold masks a word of at least three letters wherever it stands.
func replaceFold(text, word string) string {
	if len(word) < 3 || !strings.Contains(strings.ToLower(text), strings.ToLower(word)) {
		return text
	}
	return regexp.MustCompile(`(?i)`+regexp.QuoteMeta(word)).ReplaceAllLiteralString(text, masked)
}

// Text masks the local parts of all addresses in a text.
func (v Veil) Text(text string) string {
	if !v.LocalParts || !strings.Contains(text, "@") {
		return text
	}
	return localPart.ReplaceAllLiteralString(text, masked+"@")
}

// veilTexts gives a copy of a value in which every text went through Text.
func veilTexts[T any](v Veil, value T) T {
	if !v.LocalParts {
		return value
	}
	return veiledCopy(v, reflect.ValueOf(&value).Elem()).Interface().(T)
}

func veiledCopy(v Veil, x reflect.Value) reflect.Value {
	out := reflect.New(x.Type()).Elem()
	out.Set(x)
	switch x.Kind() {
	case reflect.String:
		out.SetString(v.Text(x.String()))
	case reflect.Pointer:
		if !x.IsNil() {
			out.Set(reflect.New(x.Type().Elem()))
			out.Elem().Set(veiledCopy(v, x.Elem()))
		}
	case reflect.Slice:
		if !x.IsNil() {
			out.Set(reflect.MakeSlice(x.Type(), x.Len(), x.Len()))
			for i := range x.Len() {
				out.Index(i).Set(veiledCopy(v, x.Index(i)))
			}
		}
	case reflect.Struct:
		for i := range x.NumField() {
			if x.Type().Field(i).IsExported() {
				out.Field(i).Set(veiledCopy(v, x.Field(i)))
			}
		}
	}
	return out
}

// veiledWriter masks whole lines on their way.
type veiledWriter struct {
	veil Veil
	w    io.Writer
	held []byte // the line begun
}

// Output is where a person's command writes: what it prints is masked once
// more, whatever the command took care of. end writes what is held.
func (v Veil) Output(w io.Writer) (out io.Writer, end func() error) {
	if !v.LocalParts {
		return w, func() error { return nil }
	}
	o := &veiledWriter{veil: v, w: w}
	return o, o.end
}

func (o *veiledWriter) end() error {
	if len(o.held) == 0 {
		return nil
	}
	_, err := io.WriteString(o.w, o.veil.Text(string(o.held)))
	return err
}

// Write holds what comes after the last line end.
func (o *veiledWriter) Write(p []byte) (int, error) {
	o.held = append(o.held, p...)
	end := bytes.LastIndexByte(o.held, '\n') + 1
	if end == 0 {
		return len(p), nil
	}
	_, err := io.WriteString(o.w, o.veil.Text(string(o.held[:end])))
	o.held = append(o.held[:0], o.held[end:]...)
	return len(p), err
}
