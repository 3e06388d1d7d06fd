package publish

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/engine/mimecast"
)

// blockedSender is a Blocked Senders policy in the words of API 2.0. API 1.0
// wraps the same fields, see v1.
type blockedSender struct {
	ID            string    `json:"id,omitempty"`
	PolicyID      string    `json:"policyId,omitempty"` // what some answers call the id
	Description   string    `json:"description"`
	Option        string    `json:"option"`
	FromPart      string    `json:"fromPart"`
	From          apiTarget `json:"from"`
	To            apiTarget `json:"to"`
	Enabled       bool      `json:"enabled"`
	Override      bool      `json:"override"`
	Bidirectional bool      `json:"bidirectional"`
	FromEternal   bool      `json:"fromEternal"`
	ToEternal     bool      `json:"toEternal"`
	FromDateTime  string    `json:"fromDateTime,omitempty"`
	ToDateTime    string    `json:"toDateTime,omitempty"`
	SourceIPs     []string  `json:"sourceIPs"`
}

// apiTarget is one side of a policy. API 1.0 and 2.0 name a domain and a group
// differently; we keep the words of 1.0, see v2 and v1.
type apiTarget struct {
	Type         string `json:"type"`
	EmailAddress string `json:"emailAddress,omitempty"`
	EmailDomain  string `json:"emailDomain,omitempty"` // 1.0
	GroupID      string `json:"groupId,omitempty"`     // 1.0

	Domain string     `json:"domain,omitempty"` // 2.0
	Group  apiGroupID `json:"group,omitzero"`   // 2.0
}

type apiGroupID struct {
	ID string `json:"id"`
}

// v2 is a side in the words of API 2.0.
func (t apiTarget) v2() apiTarget {
	t.Domain, t.Group.ID, t.EmailDomain, t.GroupID = cmp.Or(t.Domain, t.EmailDomain), cmp.Or(t.Group.ID, t.GroupID), "", ""
	return t
}

// v1 is a side in the words of API 1.0.
func (t apiTarget) v1() apiTarget {
	t.EmailDomain, t.GroupID, t.Domain, t.Group.ID = cmp.Or(t.EmailDomain, t.Domain), cmp.Or(t.GroupID, t.Group.ID), "", ""
	return t
}

// v1Policy is the same policy in API 1.0's words.
type v1Policy struct {
	ID     string `json:"id,omitempty"`
	Option string `json:"option"`
	Policy struct {
		Description   string    `json:"description"`
		FromPart      string    `json:"fromPart"`
		From          apiTarget `json:"from"`
		To            apiTarget `json:"to"`
		FromEternal   bool      `json:"fromEternal"`
		FromDate      string    `json:"fromDate,omitempty"`
		ToEternal     bool      `json:"toEternal"`
		ToDate        string    `json:"toDate,omitempty"`
		Override      bool      `json:"override"`
		Bidirectional bool      `json:"bidirectional"`
		Enabled       bool      `json:"enabled"`
		Conditions    struct {
			SourceIPs []string `json:"sourceIPs,omitempty"`
		} `json:"conditions"`
	} `json:"policy"`
}

func (b blockedSender) v1() v1Policy {
	v := v1Policy{ID: b.ID, Option: b.Option}
	p := &v.Policy
	p.Description, p.FromPart, p.From, p.To = b.Description, b.FromPart, b.From, b.To
	p.FromEternal, p.FromDate, p.ToEternal, p.ToDate = b.FromEternal, b.FromDateTime, b.ToEternal, b.ToDateTime
	p.Override, p.Bidirectional, p.Enabled, p.Conditions.SourceIPs = b.Override, b.Bidirectional, b.Enabled, b.SourceIPs
	return v
}

func (v v1Policy) blockedSender() blockedSender {
	p := v.Policy
	return blockedSender{ID: v.ID, Description: p.Description, Option: v.Option, FromPart: p.FromPart, From: p.From, To: p.To, Enabled: p.Enabled, Override: p.Override,
		Bidirectional: p.Bidirectional, FromEternal: p.FromEternal, ToEternal: p.ToEternal, FromDateTime: p.FromDate, ToDateTime: p.ToDate, SourceIPs: p.Conditions.SourceIPs}
}

// apiTime is how the API writes an instant.
const apiTime = "2006-01-02T15:04:05-0700"

// markOf begins the description of our policies: by it they are found again.
func markOf(id int) string { return fmt.Sprintf("mailwhy E-%d: ", id) }

// policyOf writes an entry's policy. Groups are named by their ids, which are
// looked up by name in groups.
func policyOf(e Entry, groups map[string]string) (blockedSender, error) {
	p := &e.Change.Policies[0]
	b := blockedSender{Description: short(markOf(e.ID) + e.Narrative), Option: p.Option, FromPart: string(p.FromPart), Enabled: true, Override: p.Override,
		Bidirectional: p.Bidirectional, FromEternal: true, ToEternal: e.Expires.IsZero(), SourceIPs: []string{}}
	if !e.Expires.IsZero() {
		b.ToDateTime = e.Expires.UTC().Format(apiTime)
	}
	for _, ip := range p.SourceIPs {
		b.SourceIPs = append(b.SourceIPs, ip.String())
	}
	var err error
	if b.From, err = targetOf(p.From, groups); err != nil {
		return b, err
	}
	b.To, err = targetOf(p.To, groups)
	return b, err
}

func targetOf(s engine.Spec, groups map[string]string) (apiTarget, error) {
	t := apiTarget{Type: string(s.Type)}
	var err error
	switch s.Type {
	case engine.IndividualAddress:
		t.EmailAddress, err = exactAddress(s.Value, "*")
	case engine.EmailDomain:
		t.EmailDomain, err = exactDomain(s.Value)
	case engine.ProfileGroup:
		id, ok := groups[s.Value]
		if !ok && groups != nil {
			return t, fmt.Errorf("the gateway has no group named %q", short(s.Value))
		}
		t.GroupID = id
	case engine.Everyone, engine.InternalAddresses, engine.ExternalAddresses, engine.FreeMailDomains:
	default:
		return t, fmt.Errorf("a policy by %s is not written to the API", strings.ReplaceAll(string(s.Type), "_", " "))
	}
	return t, err
}

// same compares what we write with what the gateway has; it adds fields of its
// own and writes instants in its own form.
func (b blockedSender) same(o blockedSender) bool {
	return b.Description == o.Description && b.Option == o.Option && b.FromPart == o.FromPart && b.From == o.From && b.To == o.To && b.Enabled == o.Enabled &&
		b.Override == o.Override && b.Bidirectional == o.Bidirectional && b.ToEternal == o.ToEternal && (b.ToEternal || sameInstant(b.ToDateTime, o.ToDateTime)) &&
		slices.Equal(b.SourceIPs, o.SourceIPs)
}

func sameInstant(a, b string) bool {
	x, errX := time.Parse(apiTime, a)
	y, errY := time.Parse(apiTime, b)
	if errY != nil {
		y, errY = time.Parse(time.RFC3339, b)
	}
	return errX == nil && errY == nil && x.Equal(y)
}

const (
	v2Policies = "/policy-management/cloud-gateway/v1/blocked-senders/policies"
	v1Policies = "/api/policy/blockedsenders/"
)

// policies reads every Blocked Senders policy.
func (a *MimecastAPI) policies(ctx context.Context) ([]blockedSender, error) {
	var all []blockedSender
	err := a.list(ctx, func(token string) mimecast.Request {
		if a.Old() {
			return mimecast.Request{Method: http.MethodPost, Path: v1Policies + "get-policy", Body: paged(token)}
		}
		query := fmt.Sprintf("?pageSize=%d", pageSize)
		if token != "" {
			query += "&pageToken=" + url.QueryEscape(token)
		}
		return mimecast.Request{Method: http.MethodGet, Path: v2Policies + query, Body: nil}
	}, func(answer mimecast.Answer, body []byte) error {
		page, err := a.readPolicies(answer, body)
		all = append(all, page...)
		return err
	})
	return all, err
}

// readPolicies takes the list from where an answer has it: data, definitions or
// policies.
func (a *MimecastAPI) readPolicies(answer mimecast.Answer, body []byte) ([]blockedSender, error) {
	if a.Old() {
		var list []v1Policy
		if err := json.Unmarshal(answer.Data, &list); err != nil {
			return nil, fmt.Errorf("the API's list of policies is not understood: %w", err)
		}
		var page []blockedSender
		for _, v := range list {
			page = append(page, v.blockedSender())
		}
		return page, nil
	}
	var forms struct{ Data, Definitions, Policies []blockedSender }
	if err := json.Unmarshal(body, &forms); err != nil {
		return nil, fmt.Errorf("the API's list of policies is not understood: %w", err)
	}
	page := slices.Concat(forms.Data, forms.Definitions, forms.Policies)
	for i := range page {
		if page[i].ID == "" {
			page[i].ID = page[i].PolicyID
		}
		page[i].PolicyID = ""
		page[i].From, page[i].To = page[i].From.v1(), page[i].To.v1()
	}
	return page, nil
}

func (a *MimecastAPI) createRequest(b blockedSender) mimecast.Request {
	if a.Old() {
		return mimecast.Request{Method: http.MethodPost, Path: v1Policies + "create-policy", Body: map[string]any{"data": []any{b.v1()}}}
	}
	b.From, b.To = b.From.v2(), b.To.v2()
	return mimecast.Request{Method: http.MethodPost, Path: v2Policies, Body: b}
}

// updateRequest carries every field: the API resets some that are left out.
func (a *MimecastAPI) updateRequest(b blockedSender) mimecast.Request {
	if a.Old() {
		return mimecast.Request{Method: http.MethodPost, Path: v1Policies + "update-policy", Body: map[string]any{"data": []any{b.v1()}}}
	}
	id := b.ID
	b.ID, b.From, b.To = "", b.From.v2(), b.To.v2()
	return mimecast.Request{Method: http.MethodPatch, Path: v2Policies + "/" + url.PathEscape(id), Body: b}
}

// group is a profile group.
type group struct {
	ID          string `json:"id"`
	Description string `json:"description"`
}

// groups reads the groups whose name holds a text; the API's search is by part
// of a name, so that the exact one has to be picked.
func (a *MimecastAPI) groups(ctx context.Context, name string) ([]group, error) {
	var all []group
	err := a.list(ctx, func(token string) mimecast.Request {
		return mimecast.Request{Method: http.MethodPost, Path: "/api/directory/find-groups", Body: paged(token, map[string]any{"query": name, "source": "cloud"})}
	}, func(answer mimecast.Answer, _ []byte) error {
		var data []struct {
			Folders []group `json:"folders"`
		}
		if err := json.Unmarshal(answer.Data, &data); err != nil {
			return fmt.Errorf("the API's list of groups is not understood: %w", err)
		}
		for _, d := range data {
			all = append(all, d.Folders...)
		}
		return nil
	})
	return all, err
}

// groupID finds the one group of a name. Ids are opaque and change, so they
// are looked up each time.
func (a *MimecastAPI) groupID(ctx context.Context, name string) (string, error) {
	found, err := a.groups(ctx, name)
	if err != nil {
		return "", err
	}
	id := ""
	for _, g := range found {
		if g.Description != name {
			continue
		}
		if id != "" {
			return "", fmt.Errorf("two groups of the gateway are named %q: which one is meant is not known", short(name))
		}
		id = g.ID
	}
	if id == "" {
		return "", fmt.Errorf("the gateway has no group named %q", short(name))
	}
	return id, nil
}

// member is a member of a group: an address or a domain.
type member struct {
	EmailAddress string `json:"emailAddress"`
	Domain       string `json:"domain"`
}

func (m member) String() string {
	if m.EmailAddress != "" {
		return string(mail.Path(m.EmailAddress).Fold())
	}
	return mail.FoldDomain(m.Domain)
}

func (a *MimecastAPI) members(ctx context.Context, id string) ([]string, error) {
	var all []string
	err := a.list(ctx, func(token string) mimecast.Request {
		return mimecast.Request{Method: http.MethodPost, Path: "/api/directory/get-group-members", Body: paged(token, map[string]any{"id": id})}
	}, func(answer mimecast.Answer, _ []byte) error {
		var data []struct {
			Members []member `json:"groupMembers"`
		}
		if err := json.Unmarshal(answer.Data, &data); err != nil {
			return fmt.Errorf("the API's list of members is not understood: %w", err)
		}
		for _, d := range data {
			for _, m := range d.Members {
				all = append(all, m.String())
			}
		}
		return nil
	})
	return all, err
}

// memberRequest adds a member to a group or removes it.
func memberRequest(verb, groupID, who string) mimecast.Request {
	kind := "domain"
	if strings.Contains(who, "@") {
		kind = "emailAddress"
	}
	return mimecast.Request{Method: http.MethodPost, Path: "/api/directory/" + verb + "-group-member", Body: map[string]any{"data": []any{map[string]any{"id": groupID, kind: who}}}}
}
