package logparse

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"mailwhy/engine/mail"
)

// Origin says where a fact of a message stands in its evidence.
type Origin struct {
	Field  string `json:"field"` // as in the message's JSON, "client.ip"
	Value  string `json:"value"`
	File   string `json:"file"`
	Offset int64  `json:"offset"`         // of the line's first byte, in the decompressed file
	Start  int    `json:"start"`          // of the value, in bytes of the evidence's text; Start = End: the line as a whole says it
	End    int    `json:"end"`            // behind its last byte
	Key    string `json:"key,omitempty"`  // what stands before the value: "helo", "envelope_from"
	Rule   string `json:"rule,omitempty"` // of a described format: the file and line of the rule
}

// Explain tells of each fact of a message, in the order of its JSON, where it
// stands. A described format's rules are asked; of other formats the value is
// sought in the evidence, in the forms in which logs write it.
func (p *Parser) Explain(m mail.Message) []Origin {
	var list []Origin
	for _, fact := range explained(&m) {
		if fact.value == "" {
			continue
		}
		o := Origin{Field: fact.field, Value: fact.value}
		if fact.whole {
			p.wholeLine(&m, &o)
		} else if !p.byRule(&m, &o) {
			stands(&m, &o)
		}
		list = append(list, o)
	}
	return list
}

type explainedFact struct {
	field, value string
	whole        bool // no part of a line, but the line says it
}

// explained lists the facts of a message.
func explained(m *mail.Message) []explainedFact {
	code := ""
	if m.Reply.Code != 0 {
		code = strconv.Itoa(m.Reply.Code)
	}
	size, score := "", ""
	if m.Size > 0 {
		size = strconv.FormatInt(m.Size, 10)
	}
	if m.SpamScore != nil {
		score = strconv.FormatFloat(*m.SpamScore, 'f', -1, 64)
	}
	direction := string(m.Direction)
	if m.Direction == mail.DirectionUnknown {
		direction = ""
	}
	when := ""
	if !m.Time.IsZero() {
		when = m.Time.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return []explainedFact{
		{"time", when, true}, {"gateway", m.Gateway, false}, {"outcome", string(m.Outcome), true}, {"phase", string(m.Phase), true}, {"direction", direction, true},
		{"client.ip", m.Client.IP, false}, {"client.name", m.Client.Name, false}, {"client.helo", m.Client.Helo, false},
		{"envelope_from", string(m.EnvelopeFrom), false}, {"header_from", string(m.HeaderFrom), false}, {"header_from_name", m.HeaderFromName, false},
		{"recipient", string(m.Recipient), false}, {"original_recipient", string(m.OriginalRecipient), false},
		{"subject", m.Subject, false}, {"message_id", m.MessageID, false}, {"queue_id", m.QueueID, false}, {"size", size, false},
		{"reply.code", code, false}, {"reply.enhanced", m.Reply.Enhanced, false}, {"reply.text", m.Reply.Text, false},
		{"reported.type", m.Reported.Type, false}, {"reported.rule", m.Reported.Rule, false}, {"reported.detail", m.Reported.Detail, false},
		{"remote.name", m.Remote.Name, false}, {"remote.ip", m.Remote.IP, false}, {"spam_score", score, false},
		{"auth.spf", m.Auth.SPF, false}, {"auth.dkim", m.Auth.DKIM, false}, {"auth.dmarc", m.Auth.DMARC, false},
	}
}

// wholeLine names the line that a fact is concluded from: the first failing
// one, or of a message that came through after all the newest.
func (p *Parser) wholeLine(m *mail.Message, o *Origin) {
	if len(m.Evidence) == 0 {
		return
	}
	e := &m.Evidence[len(m.Evidence)-1]
	if o.Field == "time" || m.Outcome.Failing() {
		for i := range m.Evidence {
			if strings.Contains(m.ID, fmt.Sprintf("-%012d-", m.Evidence[i].Offset)) {
				e = &m.Evidence[i]
				break
			}
		}
	}
	o.File, o.Offset = e.File, e.Offset
	if u := p.describedBy(m.Format); u != nil {
		o.Rule, _ = u.ruleOf(e.Text)
	}
}

func (p *Parser) describedBy(name string) *UserFormat {
	if f, ok := p.format(name).(*described); ok {
		return f.u
	}
	return nil
}

// ruleOf returns the file and line of the rule that reads a line.
func (u *UserFormat) ruleOf(line string) (rule string, groups map[string][2]int) {
	c := newClock(unixTime(0), nil)
	_, start, ok := u.body(&c, []byte(line))
	if !ok {
		return "", nil
	}
	for i := range u.rules {
		at := u.rules[i].match.FindStringSubmatchIndex(line[start:])
		if at == nil {
			continue
		}
		groups = map[string][2]int{}
		for n, field := range u.rules[i].fields {
			if field != "" && at[2*n] >= 0 {
				groups[field] = [2]int{start + at[2*n], start + at[2*n+1]}
			}
		}
		return fmt.Sprintf("%s:%d", u.file, u.rules[i].line), groups
	}
	return "", nil
}

// byRule finds the group that gave a fact of a described format.
func (p *Parser) byRule(m *mail.Message, o *Origin) bool {
	u := p.describedBy(m.Format)
	if u == nil {
		return false
	}
	for i := range m.Evidence {
		e := &m.Evidence[i]
		rule, groups := u.ruleOf(e.Text)
		for _, name := range []string{strings.ReplaceAll(o.Field, ".", "_"), strings.TrimPrefix(o.Field, "reply."), strings.TrimPrefix(o.Field, "client."), "reply", "recipients"} {
			span, ok := groups[name]
			if !ok {
				continue
			}
			within := e.Text[span[0]:span[1]]
			if at, length := find(within, o.Value); length > 0 {
				o.File, o.Offset, o.Key, o.Rule = e.File, e.Offset, name, rule
				o.Start, o.End = span[0]+at, span[0]+at+length
				return true
			}
		}
	}
	return false
}

// stands finds the value in the evidence.
func stands(m *mail.Message, o *Origin) {
	for i := range m.Evidence {
		e := &m.Evidence[i]
		at, length := find(e.Text, o.Value)
		if length == 0 {
			continue
		}
		o.File, o.Offset, o.Start, o.End = e.File, e.Offset, at, at+length
		o.Key = keyBefore(e.Text[:at])
		return
	}
	if len(m.Evidence) > 0 { // put together from several places
		last := m.Evidence[len(m.Evidence)-1]
		o.File, o.Offset = last.File, last.Offset
	}
}

// find seeks a value in a line: as it is, or as JSON, CSV or underscores have
// it. A place where it is a word of its own is better than one inside of
// another word.
func find(line, value string) (at, length int) {
	quoted, _ := json.Marshal(value)
	forms := []string{value, strings.Trim(value, "<>"), string(quoted[1 : len(quoted)-1]), strings.ReplaceAll(value, `"`, `""`), strings.ReplaceAll(value, " ", "_")}
	for _, form := range forms {
		if form == "" {
			continue
		}
		for from := 0; ; {
			i := strings.Index(line[from:], form)
			if i < 0 {
				break
			}
			i += from
			if !wordByte(line, i-1) && !wordByte(line, i+len(form)) {
				return i, len(form)
			}
			from = i + 1
		}
	}
	for _, form := range forms {
		if i := strings.Index(line, form); i >= 0 && form != "" {
			return i, len(form)
		}
	}
	return 0, 0
}

func wordByte(s string, i int) bool {
	return i >= 0 && i < len(s) && (idClass[s[i]] != 0 || s[i] == '_' || s[i] >= 0x80)
}

// keyBefore is the key that a value stands behind: "helo" of `helo=<`, "addr"
// of `"addr": "`.
func keyBefore(s string) string {
	s = strings.TrimRight(s, "<\"'[( ")
	if s == "" || s[len(s)-1] != '=' && s[len(s)-1] != ':' {
		return ""
	}
	s = strings.TrimRight(s[:len(s)-1], "\" ")
	i := len(s)
	for i > 0 && (wordByte(s, i-1) || s[i-1] == '-') {
		i--
	}
	return s[i:]
}
