package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/engine/mimecast"
)

// Mimecast publishes through the vendor's API: bypasses and relay entries as
// Blocked Senders policies with Take No Action, entries of users' lists,
// members taken out of groups. Its policies are found again by the beginning of
// their description, whatever id they have. What cannot be found again on the
// gateway, the other two, is remembered in a file.
//
// Permitted Senders policies have no API: they stay steps in the console.
type Mimecast struct {
	name  string
	api   *MimecastAPI
	state string
}

// NewMimecast publishes through an API; state is the file that remembers what
// was done to users' lists and groups.
func NewMimecast(name string, api *MimecastAPI, state string) *Mimecast {
	return &Mimecast{name: name, api: api, state: state}
}

// Name is the gateway's name in the configuration.
func (g *Mimecast) Name() string { return g.name }

// Lifts tells whether the vendor's gateway refused the message by a rule that
// the API can except from.
func (g *Mimecast) Lifts(m *mail.Message) (bool, string) {
	if !strings.HasPrefix(m.Format, "mimecast") {
		return false, "this message was refused by another gateway"
	}
	if m.Phase == mail.PhaseDelivery || m.Phase == mail.PhaseQueue {
		return false, "the next hop refused it, after the gateway had let it in"
	}
	return true, "where a Blocked Senders policy, a user's list or a group refused it: an RBL, a virus or a failed authentication stays refused"
}

// Fits tells what an entry cannot lift here, or why the API cannot carry it.
func (g *Mimecast) Fits(e Entry) ([]string, error) {
	limits := []string{"it can take 5 minutes until every host of the gateway has it"}
	for _, p := range e.Change.Policies {
		if p.Section != engine.SectionBlockedSenders {
			return nil, fmt.Errorf("the API has no %s policies: enter it in the console", strings.ReplaceAll(string(p.Section), "_", " "))
		}
		if _, err := policyOf(e, nil); err != nil {
			return nil, err
		}
	}
	for _, m := range slices.Concat(e.Change.ManagedPut, e.Change.ManagedDelete) {
		if _, err := exactAddress(m.Recipient, "*"); err != nil {
			return nil, err
		}
		if _, err := exactMember(m.Sender); err != nil {
			return nil, err
		}
		if g.api.Old() && len(e.Change.ManagedDelete) > 0 {
			return nil, errors.New("API 1.0 cannot take an entry off a user's list: do it in the console, or use API 2.0")
		}
		limits = append(limits, "the API cannot list users' entries, so nobody can ask whether it is still there")
	}
	for _, m := range e.Change.GroupRemove {
		if _, err := exactMember(m.Member); err != nil {
			return nil, err
		}
	}
	return limits, nil
}

// exactMember is an address or a domain, exact.
func exactMember(text string) (string, error) {
	if strings.Contains(text, "@") {
		return exactAddress(text, "*")
	}
	return exactDomain(text)
}

// done is something that was done and that the gateway cannot tell of.
type done struct {
	Exception int    `json:"exception"`
	Group     string `json:"group,omitempty"`
	Member    string `json:"member,omitempty"`
	Recipient string `json:"recipient,omitempty"`
	Sender    string `json:"sender,omitempty"`
	Action    string `json:"action,omitempty"` // permit, block or delete; of a group: relay (added), else removed
}

func (g *Mimecast) remembered() ([]done, error) {
	data, err := os.ReadFile(g.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []done
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("read what was done through the API: %w", err)
	}
	return list, nil
}

func (g *Mimecast) remember(list []done) error {
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return replaceFile(g.state, data)
}

// step is one writing call, and what is to be remembered of it.
type step struct {
	exception int
	call      mimecast.Request
	adds      *done // remembered before the call
	drops     *done // forgotten after it
}

// steps are the calls that make the gateway hold what is wanted. Everything is
// read before anything is written.
func (g *Mimecast) steps(ctx context.Context, want []Entry) ([]step, EntryErrors, error) {
	failed := EntryErrors{}
	have, err := g.api.policies(ctx)
	if err != nil {
		return nil, nil, err
	}
	was, err := g.remembered()
	if err != nil {
		return nil, nil, err
	}
	var steps []step
	for _, e := range want {
		if _, _, relay := e.Change.RelayMember(); len(e.Change.Policies) > 0 && !relay {
			s, err := g.policySteps(ctx, e, have)
			if err != nil {
				failed[e.ID] = err
			}
			steps = append(steps, s...)
			continue
		}
		s, err := g.listSteps(ctx, e, was)
		if err != nil {
			failed[e.ID] = err
		}
		steps = append(steps, s...)
	}
	gone, err := g.endSteps(ctx, want, have, was)
	return append(steps, gone...), failed, err
}

// policySteps creates the entry's policy, or brings the one that is there to
// what it shall be; a second one, left by an answer that got lost, is ended.
func (g *Mimecast) policySteps(ctx context.Context, e Entry, have []blockedSender) ([]step, error) {
	groups := map[string]string{}
	for _, spec := range []engine.Spec{e.Change.Policies[0].From, e.Change.Policies[0].To} {
		if spec.Type == engine.ProfileGroup {
			id, err := g.api.groupID(ctx, spec.Value)
			if err != nil {
				return nil, err
			}
			groups[spec.Value] = id
		}
	}
	b, err := policyOf(e, groups)
	if err != nil {
		return nil, err
	}
	var steps []step
	found := false
	for _, h := range have {
		if !strings.HasPrefix(h.Description, markOf(e.ID)) {
			continue
		}
		switch {
		case found && h.Enabled:
			steps = append(steps, step{exception: e.ID, call: g.api.updateRequest(ended(h))})
		case !found && !b.same(h):
			shall := b
			shall.ID, shall.FromEternal, shall.FromDateTime = h.ID, h.FromEternal, h.FromDateTime
			steps = append(steps, step{exception: e.ID, call: g.api.updateRequest(shall)})
		}
		found = true
	}
	if !found {
		steps = append(steps, step{exception: e.ID, call: g.api.createRequest(b)})
	}
	return steps, nil
}

func ended(b blockedSender) blockedSender {
	b.Enabled = false
	return b
}

// listSteps changes users' lists and groups, each once.
func (g *Mimecast) listSteps(ctx context.Context, e Entry, was []done) ([]step, error) {
	var steps []step
	for _, m := range e.Change.ManagedPut {
		d := done{Exception: e.ID, Recipient: m.Recipient, Sender: m.Sender, Action: m.Action}
		if !slices.Contains(was, d) {
			steps = append(steps, step{exception: e.ID, call: managedRequest(m.Sender, m.Recipient, m.Action), adds: &d})
		}
	}
	for _, m := range e.Change.ManagedDelete {
		d := done{Exception: e.ID, Recipient: m.Recipient, Sender: m.Sender, Action: "delete"}
		if !slices.Contains(was, d) {
			steps = append(steps, step{exception: e.ID, call: managedDeleteRequest(m.Sender, m.Recipient), adds: &d})
		}
	}
	for _, m := range e.Change.GroupRemove {
		s, err := g.memberSteps(ctx, done{Exception: e.ID, Group: m.Group, Member: m.Member}, "remove")
		steps = append(steps, s...)
		if err != nil {
			return steps, err
		}
	}
	if group, member, relay := e.Change.RelayMember(); relay {
		s, err := g.memberSteps(ctx, done{Exception: e.ID, Group: group, Member: member, Action: "relay"}, "add")
		return append(steps, s...), err
	}
	return steps, nil
}

// memberSteps takes a member out of a group or puts it in, where it is not so
// already. What others did is not ours to take back.
func (g *Mimecast) memberSteps(ctx context.Context, d done, verb string) ([]step, error) {
	id, err := g.api.groupID(ctx, d.Group)
	if err != nil {
		return nil, err
	}
	members, err := g.api.members(ctx, id)
	if err != nil {
		return nil, err
	}
	if d.Member, err = exactMember(d.Member); err != nil || slices.Contains(members, d.Member) == (verb == "add") {
		return nil, err
	}
	return []step{{exception: d.Exception, call: memberRequest(verb, id, d.Member), adds: &d}}, nil
}

func managedRequest(sender, recipient, action string) mimecast.Request {
	return mimecast.Request{Method: http.MethodPost, Path: "/api/managedsender/permit-or-block-sender", Body: map[string]any{"data": []any{map[string]any{"sender": sender, "to": recipient, "action": action}}}}
}

func managedDeleteRequest(sender, recipient string) mimecast.Request {
	return mimecast.Request{Method: http.MethodPost, Path: "/email/cloud-gateway/v1/managed-senders/recipients/" + url.PathEscape(recipient) + "/bulk-delete", Body: map[string]any{"senders": []string{sender}}}
}

// endSteps takes back what is no longer wanted.
func (g *Mimecast) endSteps(ctx context.Context, want []Entry, have []blockedSender, was []done) ([]step, error) {
	wanted := func(id int) bool { return slices.ContainsFunc(want, func(e Entry) bool { return e.ID == id }) }
	var steps []step
	for _, h := range have {
		var id int
		if n, _ := fmt.Sscanf(h.Description, "mailwhy E-%d: ", &id); n == 1 && h.Enabled && !wanted(id) {
			steps = append(steps, step{exception: id, call: g.api.updateRequest(ended(h))})
		}
	}
	for _, d := range was {
		if wanted(d.Exception) {
			continue
		}
		s := step{exception: d.Exception, drops: &d}
		switch {
		case d.Group != "":
			id, err := g.api.groupID(ctx, d.Group)
			if err != nil {
				return steps, err
			}
			s.call = memberRequest(map[bool]string{true: "remove", false: "add"}[d.Action == "relay"], id, d.Member)
		case d.Action == "delete":
			s.call = managedRequest(d.Sender, d.Recipient, "block")
		case g.api.Old():
			return steps, fmt.Errorf("API 1.0 cannot take the entry for %s off the list of %s: do it in the console", d.Sender, d.Recipient)
		default:
			s.call = managedDeleteRequest(d.Sender, d.Recipient)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// Plan gives the exact calls, without the headers that carry the secrets.
func (g *Mimecast) Plan(ctx context.Context, want []Entry) (Plan, error) {
	steps, failed, err := g.steps(ctx, want)
	if err == nil && len(failed) > 0 {
		err = failed
	}
	var p Plan
	for _, s := range steps {
		p = append(p, callText(s.call, g.api.Base()))
	}
	return p, err
}

// Apply makes the calls. One that fails keeps no other from being made.
func (g *Mimecast) Apply(ctx context.Context, want []Entry) error {
	steps, failed, err := g.steps(ctx, want)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if err := g.do(ctx, s); err != nil {
			var limit *mimecast.RateLimitError
			if errors.As(err, &limit) {
				return err
			}
			failed[s.exception] = err
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

func (g *Mimecast) do(ctx context.Context, s step) error {
	list, err := g.remembered()
	if err != nil {
		return err
	}
	if s.adds != nil {
		if err := g.remember(append(list, *s.adds)); err != nil {
			return err
		}
	}
	if _, _, err := g.api.Call(ctx, s.call); err != nil {
		if s.adds != nil {
			err = errors.Join(err, g.remember(list))
		}
		return err
	}
	if s.drops != nil {
		return g.remember(slices.DeleteFunc(list, func(d done) bool { return d == *s.drops }))
	}
	return nil
}

// Verify reads everything again: what would still have to be called is what the
// gateway does not have.
func (g *Mimecast) Verify(ctx context.Context, want []Entry) error {
	if len(want) == 0 {
		return nil
	}
	steps, failed, err := g.steps(ctx, want)
	if err != nil {
		return err
	}
	for _, s := range steps {
		failed[s.exception] = errors.New("the gateway does not have it as it was written")
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

// Withdraw ends all our policies and takes back the rest.
func (g *Mimecast) Withdraw(ctx context.Context) error { return g.Apply(ctx, nil) }
