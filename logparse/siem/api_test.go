package siem

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"mailwhy/engine/mimecast"
)

// vendor answers as the documented contract says, and now and then as the API
// does when something is wrong.
type vendor struct {
	t    *testing.T
	old  bool
	base string

	mu       sync.Mutex
	logs     map[string][]string // by type: files, the lines of each
	forgets  string              // a token that is not known any more
	signed   map[string]bool     // addresses that are valid
	made     int                 // signatures
	tokens   int                 // of OAuth
	calls    []string
	faults   func() string // what goes wrong with the next call; "" = nothing
	stopAt   int           // after so many calls stop is called; 0 = never
	stop     func()
	noTokens bool // pages come without a token
}

// pageFiles is how many files the vendor gives in a page, whatever it is asked for.
const pageFiles = 2

func startVendor(t *testing.T, old bool) (*vendor, *mimecast.Client) {
	t.Helper()
	v := &vendor{t: t, old: old, logs: map[string][]string{}, signed: map[string]bool{}, faults: func() string { return "" }}
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	v.base = server.URL
	version := map[bool]string{false: "2.0", true: "1.0"}[old]
	api, err := mimecast.New(server.URL, version, mimecast.Keys{ClientID: "id", ClientSecret: "s3cret", AppID: "app", AppKey: "key", AccessKey: "access", SecretKey: "c2VjcmV0"}, nil)
	check(t, err)
	return v, api
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls = append(v.calls, r.Method+" "+r.URL.Path)
	if v.stopAt > 0 && len(v.calls) >= v.stopAt {
		v.stop()
	}
	if r.URL.Path == "/oauth/token" {
		v.tokens++
		writeJSON(w, map[string]any{"access_token": fmt.Sprint("t", v.tokens), "expires_in": 1800, "token_type": "Bearer"})
		return
	}
	fault := v.faults()
	if strings.HasPrefix(r.URL.Path, "/files/") {
		v.file(w, r, fault)
		return
	}
	if !v.old && r.Header.Get("Authorization") != fmt.Sprint("Bearer t", v.tokens) || v.old && !strings.HasPrefix(r.Header.Get("Authorization"), "MC access:") {
		v.t.Errorf("%s comes with %q", r.URL.Path, r.Header.Get("Authorization"))
	}
	switch fault {
	case "limit":
		w.Header().Set("X-RateLimit-Reset", "2")
		w.WriteHeader(http.StatusTooManyRequests)
	case "token":
		w.WriteHeader(http.StatusUnauthorized)
	case "broken":
		w.WriteHeader(http.StatusBadGateway)
	case "fail":
		writeJSON(w, map[string]any{"meta": map[string]any{"status": 200}, "data": []any{}, "fail": []any{map[string]any{"errors": []any{map[string]any{"code": "err_internal", "message": "try again", "retryable": true}}}}})
	default:
		if v.old {
			v.version1(w, r)
		} else {
			v.version2(w, r)
		}
	}
}

func writeJSON(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// place is the file a token names.
func (v *vendor) place(w http.ResponseWriter, token string) (at int, ok bool) {
	if token == "" {
		return 0, true
	}
	if token == v.forgets {
		v.forgets = ""
		w.WriteHeader(http.StatusBadRequest)
		return 0, false
	}
	if _, err := fmt.Sscanf(token, "after-%d", &at); err != nil {
		v.t.Errorf("the token %q was never given", token)
	}
	return at, true
}

func (v *vendor) version2(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if r.Method != http.MethodGet || r.URL.Path != "/siem/v1/batch/events/cg" || (q.Get("nextPage") == "") != (q.Get("dateRangeStartsAt") != "") {
		v.t.Errorf("a call that is not documented: %s %s", r.Method, r.URL)
	}
	kind := q.Get("type")
	from, ok := v.place(w, q.Get("nextPage"))
	if !ok {
		return
	}
	to := min(from+pageFiles, len(v.logs[kind]))
	value := []any{}
	for i := from; i < to; i++ {
		v.made++
		address := fmt.Sprintf("/files/%s/%d?signature=%d", kind, i, v.made)
		v.signed[address] = true
		value = append(value, map[string]any{"url": v.base + address, "expiry": "soon", "size": 1})
	}
	page := map[string]any{"value": value, "pageSize": pageFiles, "isCaughtUp": to == len(v.logs[kind])}
	if !v.noTokens {
		page["@nextPage"] = fmt.Sprintf("after-%d", to)
	}
	writeJSON(w, page)
}

func (v *vendor) file(w http.ResponseWriter, r *http.Request, fault string) {
	if r.Header.Get("Authorization") != "" {
		v.t.Error("our credentials were sent with a signed address")
	}
	if fault == "expired" || fault == "token" || !v.signed[r.URL.RequestURI()] {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	delete(v.signed, r.URL.RequestURI())
	kind, number, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/files/"), "/")
	var n int
	_, _ = fmt.Sscan(number, &n)
	packed := gzipped(v.logs[kind][n])
	switch fault {
	case "cut": // the file is whole for HTTP, and half for gzip
		packed = packed[:len(packed)/2]
	case "broken":
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case "torn": // the connection breaks
		w.Header().Set("Content-Length", fmt.Sprint(len(packed)))
		_, _ = w.Write(packed[:len(packed)*2/3])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(packed)
}

func gzipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.Bytes()
}

func (v *vendor) version1(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Data []struct{ Type, FileFormat, Token string }
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || r.Method != http.MethodPost || r.URL.Path != "/api/audit/get-siem-logs" || len(ask.Data) != 1 || ask.Data[0].Type != kindMTA || ask.Data[0].FileFormat != "key_value" {
		v.t.Errorf("a call that is not documented: %s %s, %+v, %v", r.Method, r.URL, ask, err)
	}
	at, ok := v.place(w, ask.Data[0].Token)
	if !ok {
		return
	}
	if at == len(v.logs[kindMTA]) {
		writeJSON(w, map[string]any{"meta": map[string]any{"isLastToken": true, "status": 200}, "data": []any{}, "fail": []any{}})
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="receipt_%d.siem"`, at))
	w.Header().Set("mc-siem-token", fmt.Sprintf("after-%d", at+1))
	_, _ = io.WriteString(w, v.logs[kindMTA][at])
}

// write adds a file to a log; every fifth line is there twice.
func (v *vendor) write(r *rand.Rand, kind string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var text strings.Builder
	for n := range r.IntN(200) {
		line := fmt.Sprintf(`{"type":%q,"file":%d,"line":%d,"filler":"%x"}`, kind, len(v.logs[kind]), n, r.Uint64())
		text.WriteString(line + "\n")
		if n%5 == 0 {
			text.WriteString(line + "\n")
		}
	}
	v.logs[kind] = append(v.logs[kind], strings.TrimSuffix(text.String(), "\n")) // the last line has no end
}

// all are the lines of all logs, sorted.
func (v *vendor) all() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var lines []string
	for _, files := range v.logs {
		for _, text := range files {
			lines = append(lines, strings.Fields(text)...)
		}
	}
	slices.Sort(lines)
	return lines
}
