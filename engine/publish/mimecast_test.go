package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mimecast"
)

// fakeAPI answers as the documented contract says, with its faults. It is used
// by one client at a time.
type fakeAPI struct {
	t        *testing.T
	old      bool
	policies []map[string]any
	members  map[string][]string // by group id
	managed  map[string]string
	calls    []string

	tokens   int
	revoked  bool          // the token in use is no longer accepted
	limited  time.Duration // the next call is too much
	refuse   string        // a path whose calls get a filled fail list
	circle   bool          // pages lead back to the first one
	listName string        // definitions or policies
}

var groupNames = map[string]string{"eNopaque1": "Blocked Senders", "eNopaque2": "Blocked Senders (old)", "eNopaque3": "Sales", "eNopaque4": "Relay"}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	data, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(data, &body)
	if r.URL.Path == "/oauth/token" {
		f.tokens++
		f.revoked = false
		answer(w, map[string]any{"access_token": fmt.Sprint("t", f.tokens), "expires_in": 1800})
		return
	}
	if f.limited > 0 {
		w.Header().Set("X-RateLimit-Reset", fmt.Sprint(f.limited.Milliseconds()))
		f.limited = 0
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	if !f.old && (f.revoked || r.Header.Get("Authorization") != fmt.Sprint("Bearer t", f.tokens)) || f.old && !strings.HasPrefix(r.Header.Get("Authorization"), "MC access:") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	f.calls = append(f.calls, r.Method+" "+r.URL.Path)
	if f.refuse != "" && strings.HasPrefix(r.URL.Path, f.refuse) && r.Method != http.MethodGet {
		answer(w, map[string]any{"meta": map[string]any{"status": 200}, "data": []any{}, "fail": []any{map[string]any{"errors": []any{map[string]any{"code": "err_xdk_operation_forbidden_for_address", "message": "not allowed", "retryable": false}}}}})
		return
	}
	f.serve(w, r, body)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func item(body map[string]any) map[string]any {
	list, _ := body["data"].([]any)
	if len(list) == 0 {
		return nil
	}
	m, _ := list[0].(map[string]any)
	return m
}

func (f *fakeAPI) serve(w http.ResponseWriter, r *http.Request, body map[string]any) {
	wrap := func(data any) {
		answer(w, map[string]any{"meta": map[string]any{"status": 200}, "data": data, "fail": []any{}})
	}
	switch path := r.URL.Path; {
	case path == v2Policies && r.Method == http.MethodGet:
		f.page(w, r.URL.Query().Get("pageToken"))
	case path == v1Policies+"get-policy":
		token, _ := body["meta"].(map[string]any)["pagination"].(map[string]any)["pageToken"].(string)
		f.page(w, token)
	case path == v2Policies:
		f.readSides(body, "emailDomain", "groupId")
		body["policyId"] = fmt.Sprint("id-", len(f.policies))
		f.policies = append(f.policies, body)
		answer(w, map[string]any{"policyId": body["policyId"]})
	case path == v1Policies+"create-policy":
		p := item(body)
		f.readSides(p["policy"].(map[string]any), "domain", "group")
		p["id"] = fmt.Sprint("id-", len(f.policies))
		f.policies = append(f.policies, p)
		wrap([]any{p})
	case path == v1Policies+"update-policy":
		p := item(body)
		f.update(fmt.Sprint(p["id"]), p)
		wrap([]any{p})
	case strings.HasPrefix(path, v2Policies+"/"):
		f.readSides(body, "emailDomain", "groupId")
		id := strings.TrimPrefix(path, v2Policies+"/")
		body["policyId"] = id
		f.update(id, body)
		answer(w, body)
	case path == "/api/directory/find-groups":
		var folders []any
		for _, id := range []string{"eNopaque2", "eNopaque1", "eNopaque3", "eNopaque4"} {
			if strings.Contains(groupNames[id], fmt.Sprint(item(body)["query"])) {
				folders = append(folders, map[string]any{"id": id, "description": groupNames[id]})
			}
		}
		wrap([]any{map[string]any{"folders": folders}})
	case path == "/api/directory/get-group-members":
		var members []any
		for _, m := range f.members[fmt.Sprint(item(body)["id"])] {
			key := "domain"
			if strings.Contains(m, "@") {
				key = "emailAddress"
			}
			members = append(members, map[string]any{key: m, "internal": false})
		}
		wrap([]any{map[string]any{"groupMembers": members}})
	case strings.HasSuffix(path, "-group-member"):
		f.changeMember(strings.Contains(path, "/remove-"), item(body))
		wrap([]any{})
	case path == "/api/managedsender/permit-or-block-sender":
		m := item(body)
		f.managed[fmt.Sprint(m["to"], " ", m["sender"])] = fmt.Sprint(m["action"])
		wrap([]any{m})
	case strings.HasSuffix(path, "/bulk-delete"):
		parts := strings.Split(path, "/")
		for _, s := range body["senders"].([]any) {
			delete(f.managed, fmt.Sprint(parts[len(parts)-2], " ", s))
		}
		answer(w, map[string]any{})
	default:
		f.t.Errorf("a call that the contract does not have: %s %s", r.Method, path)
	}
}

// readSides fails on the words of the other version of the API.
func (f *fakeAPI) readSides(policy map[string]any, foreign ...string) {
	for _, side := range []string{"from", "to"} {
		for _, word := range foreign {
			if _, is := policy[side].(map[string]any)[word]; is {
				f.t.Errorf("this version of the API does not know %s.%s: %v", side, word, policy)
			}
		}
	}
}

// page gives two policies at a time.
func (f *fakeAPI) page(w http.ResponseWriter, token string) {
	from := 0
	_, _ = fmt.Sscanf(token, "after-%d", &from)
	to := min(from+2, len(f.policies))
	meta := map[string]any{"pagination": map[string]any{"pageSize": 2}}
	if to < len(f.policies) {
		meta["pagination"].(map[string]any)["next"] = fmt.Sprintf("after-%d", to)
	}
	if f.circle {
		meta["pagination"].(map[string]any)["next"] = "after-0"
	}
	name := f.listName
	if f.old {
		name = "data"
	}
	answer(w, map[string]any{"meta": meta, name: f.policies[from:to], "fail": []any{}})
}

// update replaces the whole policy: what a client leaves out is reset.
func (f *fakeAPI) update(id string, p map[string]any) {
	for i := range f.policies {
		if f.policies[i]["id"] == id || f.policies[i]["policyId"] == id {
			f.policies[i] = p
		}
	}
}

func (f *fakeAPI) changeMember(remove bool, m map[string]any) {
	id, who := fmt.Sprint(m["id"]), m["emailAddress"]
	if who == nil {
		who = m["domain"]
	}
	f.members[id] = slices.DeleteFunc(f.members[id], func(s string) bool { return s == who })
	if !remove {
		f.members[id] = append(f.members[id], fmt.Sprint(who))
	}
}

func startAPI(t *testing.T, version string) (*fakeAPI, *Mimecast) {
	t.Helper()
	f := &fakeAPI{t: t, old: version == "1.0", members: map[string][]string{"eNopaque1": {"bad.example", "spam@vendor.example"}}, managed: map[string]string{}, listName: "definitions"}
	for i := range 5 { // what others made
		f.policies = append(f.policies, map[string]any{"id": fmt.Sprint("site-", i), "description": "the site's own", "option": "block_sender", "enabled": true})
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	api, err := mimecast.New(server.URL, version, mimecast.Keys{ClientID: "client", ClientSecret: "secret", AppID: "app", AppKey: "key", AccessKey: "access", SecretKey: "c2VjcmV0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f, NewMimecast("mimecast", &MimecastAPI{api}, filepath.Join(t.TempDir(), "state.json"))
}

func (f *fakeAPI) ours() (enabled, all int) {
	for _, p := range f.policies {
		fields := p
		if inner, ok := p["policy"].(map[string]any); ok {
			fields = inner
		}
		if strings.HasPrefix(fmt.Sprint(fields["description"]), "mailwhy E-") {
			all++
			if fields["enabled"] == true {
				enabled++
			}
		}
	}
	return enabled, all
}

func mimecastEntries() []Entry {
	expires := time.Date(2026, 12, 23, 12, 0, 0, 0, time.UTC)
	pair := bypass(1, "alice@acme.example", to("bob@corp.example"), func(p *engine.Policy) { p.Override = true })
	pair.Narrative, pair.Expires = "Bypass: alice@acme.example > bob@corp.example (T-1)", expires
	managed := Entry{ID: 3, Change: engine.Change{ManagedPut: []engine.ManagedEntry{{Recipient: "bob@corp.example", Sender: "alice@acme.example", Action: "permit"}}}}
	group := Entry{ID: 4, Change: engine.Change{GroupRemove: []engine.GroupEntry{{Group: "Blocked Senders", Member: "spam@vendor.example"}}}}
	toGroup := bypass(5, "carol@acme.example", func(p *engine.Policy) { p.To = engine.Spec{Type: engine.ProfileGroup, Value: "Sales"} })
	return []Entry{pair, bypass(2, "bulk.example"), managed, group, toGroup}
}

func TestMimecastPublishesAndWithdraws(t *testing.T) {
	for _, c := range []struct{ version, list string }{{"2.0", "definitions"}, {"2.0", "policies"}, {"1.0", ""}} {
		t.Run(c.version+c.list, func(t *testing.T) {
			f, g := startAPI(t, c.version)
			f.listName = c.list
			want := mimecastEntries()
			if f.old {
				want = slices.Delete(want, 2, 3) // its end would be in the console
			}
			plan, err := g.Plan(t.Context(), want)
			if err != nil || len(plan) != len(want) {
				t.Fatalf("plan %s (%v)", plan, err)
			}
			if _, all := f.ours(); all != 0 || strings.Contains(plan.String(), "secret") {
				t.Fatalf("the plan wrote, or holds a secret: %s", plan)
			}
			for range 2 {
				if err := errors.Join(g.Apply(t.Context(), want), g.Verify(t.Context(), want)); err != nil {
					t.Fatal(err)
				}
			}
			if enabled, all := f.ours(); enabled != 3 || all != 3 || slices.Contains(f.members["eNopaque1"], "spam@vendor.example") {
				t.Fatalf("%d of %d policies enabled, members %v", enabled, all, f.members)
			}
			if err := g.Apply(t.Context(), want[1:2]); err != nil {
				t.Fatal(err)
			}
			if enabled, all := f.ours(); enabled != 1 || all != 3 || len(f.managed) != 0 || !slices.Contains(f.members["eNopaque1"], "spam@vendor.example") {
				t.Errorf("withdrawn: %d of %d policies enabled, users' lists %v, members %v", enabled, all, f.managed, f.members)
			}
			if len(f.policies) != 8 {
				t.Errorf("%d policies, 5 of them the site's", len(f.policies))
			}
		})
	}
}

// TestMimecastRelayIsAGroupMember: a relay entry is a member of the group Relay,
// as the vendor's article has it, and what a dry run shows is what the engine
// tells a person to send.
func TestMimecastRelayIsAGroupMember(t *testing.T) {
	f, g := startAPI(t, "2.0")
	relay := func(id int, who string) Entry {
		e := bypass(id, "x@acme.example", to(who))
		e.Change.Kind, e.Change.Policies[0].From = engine.KindRelay, engine.Spec{Type: engine.ExternalAddresses}
		return e
	}
	f.members["eNopaque4"] = []string{"there@home.example"}
	want := []Entry{relay(1, "leaver@home.example"), relay(2, "there@home.example")}
	plan, err := g.Plan(t.Context(), want)
	if err != nil || len(plan) != 1 || !strings.Contains(plan[0], `/api/directory/add-group-member {"data":[{"emailAddress":"leaver@home.example","id":"eNopaque4"}]}`) {
		t.Fatalf("plan %s (%v)", plan, err)
	}
	if told := engine.APICalls(want[0].Change); told[0].Path != "/api/directory/add-group-member" {
		t.Errorf("a person is told %+v", told)
	}
	if err := errors.Join(g.Apply(t.Context(), want), g.Verify(t.Context(), want)); err != nil {
		t.Fatal(err)
	}
	if got := f.members["eNopaque4"]; !slices.Equal(got, []string{"there@home.example", "leaver@home.example"}) || len(f.policies) != 5 {
		t.Errorf("members %v, %d policies", got, len(f.policies))
	}
	if err := g.Withdraw(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.members["eNopaque4"]; !slices.Equal(got, []string{"there@home.example"}) {
		t.Errorf("withdrawn, the group has %v: the site's own member stays, ours goes", got)
	}
}

func TestMimecastFaults(t *testing.T) {
	one := mimecastEntries()[:1]
	t.Run("the token ran out", func(t *testing.T) {
		f, g := startAPI(t, "2.0")
		if _, err := g.Plan(t.Context(), one); err != nil {
			t.Fatal(err)
		}
		f.revoked = true
		if err := g.Apply(t.Context(), one); err != nil || f.tokens != 2 {
			t.Errorf("%v after %d tokens", err, f.tokens)
		}
	})
	t.Run("a short rate limit is waited for", func(t *testing.T) {
		f, g := startAPI(t, "2.0")
		f.limited = 20 * time.Millisecond
		if err := g.Apply(t.Context(), one); err != nil {
			t.Error(err)
		}
	})
	t.Run("a long one is told", func(t *testing.T) {
		f, g := startAPI(t, "2.0")
		f.limited = 42 * time.Second
		var limit *mimecast.RateLimitError
		if err := g.Apply(t.Context(), one); !errors.As(err, &limit) || limit.Reset != 42*time.Second {
			t.Errorf("got %v", err)
		}
	})
	t.Run("fail in a 200", func(t *testing.T) {
		f, g := startAPI(t, "2.0")
		f.refuse = "/api/directory/remove-group-member"
		want := []Entry{mimecastEntries()[0], mimecastEntries()[3]}
		var failed EntryErrors
		if err := g.Apply(t.Context(), want); !errors.As(err, &failed) || len(failed) != 1 || !strings.Contains(failed[4].Error(), "err_xdk_operation_forbidden_for_address") {
			t.Errorf("got %v", err)
		}
		if enabled, _ := f.ours(); enabled != 1 {
			t.Error("one failure kept the other entry from being written")
		}
	})
	t.Run("pages in a circle", func(t *testing.T) {
		f, g := startAPI(t, "2.0")
		f.circle = true
		if err := g.Apply(t.Context(), one); err == nil || !strings.Contains(err.Error(), "circle") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a group that is not there", func(t *testing.T) {
		_, g := startAPI(t, "2.0")
		e := Entry{ID: 1, Change: engine.Change{GroupRemove: []engine.GroupEntry{{Group: "Blocked", Member: "x@vendor.example"}}}}
		var failed EntryErrors
		if err := g.Apply(t.Context(), []Entry{e}); !errors.As(err, &failed) || !strings.Contains(failed[1].Error(), `no group named "Blocked"`) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an answer that got lost", func(t *testing.T) {
		f, g := startAPI(t, "2.0")
		if err := g.Apply(t.Context(), one); err != nil {
			t.Fatal(err)
		}
		twin := map[string]any{}
		for key, value := range f.policies[5] {
			twin[key] = value
		}
		twin["policyId"] = "id-twin"
		f.policies = append(f.policies, twin)
		if err := errors.Join(g.Apply(t.Context(), one), g.Verify(t.Context(), one)); err != nil {
			t.Error(err)
		}
		if enabled, all := f.ours(); enabled != 1 || all != 2 {
			t.Errorf("%d of %d enabled", enabled, all)
		}
	})
	t.Run("a policy that has no API", func(t *testing.T) {
		_, g := startAPI(t, "2.0")
		permit := bypass(1, "a@acme.example", func(p *engine.Policy) { p.Section = engine.SectionPermittedSenders })
		if _, err := g.Fits(permit); err == nil || !strings.Contains(err.Error(), "console") {
			t.Errorf("got %v", err)
		}
	})
}
