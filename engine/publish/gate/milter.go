package gate

import (
	"context"
	"errors"
	"net"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/d--j/go-milter"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// farewell is how long open SMTP sessions may go on when the gate ends.
const farewell = 2 * time.Second

// Milter serves the milter protocol until ctx ends. A message is decided at
// each RCPT by its envelope and at the end of its header by both addresses.
// After DATA a message can be refused only whole: it is when the policies
// refuse it for every recipient that is left, otherwise it passes and the
// refusals are in the log alone.
func (g *Gate) Milter(ctx context.Context, l net.Listener) error {
	server := milter.NewServer(
		milter.WithMilter(func() milter.Milter { return &session{gate: g} }),
		// No answer is waited for where none is given: one round trip a
		// recipient and one a header.
		milter.WithProtocols(milter.OptNoBody|milter.OptNoUnknown|milter.OptNoData|
			milter.OptNoConnReply|milter.OptNoHeloReply|milter.OptNoMailReply|milter.OptNoHeaderReply),
		milter.WithReadTimeout(time.Hour),
	)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := server.Shutdown(bye); err != nil {
		if err := server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	<-ended
	return nil
}

// session is one SMTP session.
type session struct {
	milter.NoOpMilter
	gate   *Gate
	client mail.Client

	set        *engine.Set // in force when the message began, for all of it
	from       mail.Path
	recipients []mail.Path // accepted so far
	header     mail.Path
	name       string
	hasHeader  bool
}

// Connect notes the client.
func (s *session) Connect(host, family string, _ uint16, addr string, _ milter.Modifier) (*milter.Response, error) {
	s.client = mail.Client{Name: host}
	if family == "tcp4" || family == "tcp6" {
		s.client.IP = addr
	}
	return milter.RespContinue, nil
}

// Helo notes what the client calls itself.
func (s *session) Helo(name string, _ milter.Modifier) (*milter.Response, error) {
	s.client.Helo = name
	return milter.RespContinue, nil
}

// MailFrom begins a message.
func (s *session) MailFrom(from, _ string, _ milter.Modifier) (*milter.Response, error) {
	s.reset()
	s.set, s.from = s.gate.o.Set(), path(from)
	return milter.RespContinue, nil
}

// RcptTo decides by the envelope.
func (s *session) RcptTo(to, _ string, m milter.Modifier) (*milter.Response, error) {
	recipient := path(to)
	if reply := s.gate.decide(s.set, s.message(recipient, m), engine.MomentRcpt); reply != nil {
		return response(reply)
	}
	s.recipients = append(s.recipients, recipient)
	return milter.RespContinue, nil
}

// Header keeps the first From, the one that RFC 5322 section 3.6 allows.
func (s *session) Header(name, value string, _ milter.Modifier) (*milter.Response, error) {
	if !s.hasHeader && strings.EqualFold(name, "From") {
		s.hasHeader = true
		s.header, s.name = parseFrom(value)
	}
	return milter.RespContinue, nil
}

// Headers decides by both addresses.
func (s *session) Headers(m milter.Modifier) (*milter.Response, error) {
	var refusal *mail.Reply
	refused := 0
	for _, recipient := range s.recipients {
		if reply := s.gate.decide(s.set, s.message(recipient, m), engine.MomentData); reply != nil {
			refused++
			refusal = reply
		}
	}
	if refused == 0 || refused < len(s.recipients) {
		return milter.RespAccept, nil
	}
	return response(refusal)
}

// Abort forgets the message, not the client.
func (s *session) Abort(milter.Modifier) error {
	s.reset()
	return nil
}

func (s *session) reset() {
	s.set, s.from, s.recipients, s.header, s.name, s.hasHeader = nil, "", s.recipients[:0], "", "", false
}

func (s *session) message(recipient mail.Path, m milter.Modifier) *mail.Message {
	if s.set == nil { // a mail server that leaves MAIL out
		s.set = s.gate.o.Set()
	}
	return &mail.Message{Client: s.client, EnvelopeFrom: s.from, Recipient: recipient, HeaderFrom: s.header, HeaderFromName: s.name, QueueID: m.Get(milter.MacroQueueId)}
}

func response(r *mail.Reply) (*milter.Response, error) {
	return milter.RejectWithCodeAndReason(uint16(r.Code), r.Enhanced+" "+r.Text)
}

// parseFrom reads a From header: its first address and that one's display
// name. A header that is no address list gives what stands in the last angle
// brackets, as mail programs show it.
func parseFrom(value string) (mail.Path, string) {
	parser := netmail.AddressParser{}
	if list, err := parser.ParseList(value); err == nil && len(list) > 0 {
		return mail.Path(list[0].Address), list[0].Name
	}
	text := strings.TrimSpace(value)
	if open := strings.LastIndexByte(text, '<'); open >= 0 {
		inner, _, _ := strings.Cut(text[open+1:], ">")
		return mail.Path(strings.TrimSpace(inner)), strings.Trim(strings.TrimSpace(text[:open]), `"`)
	}
	if strings.Contains(text, "@") && !strings.ContainsAny(text, " \t") {
		return mail.Path(text), ""
	}
	return "", ""
}
