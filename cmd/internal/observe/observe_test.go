package observe

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestMetricsAndHealth(t *testing.T) {
	m := NewMetrics(func(context.Context) Reading {
		return Reading{
			Sources:  []Source{{Path: "/var/log/maillog\xff", Lag: 1500 * time.Millisecond, Behind: 7, Lines: 9, Unrecognised: 2, Problem: true}},
			Sessions: map[string]int{"ssh": 3}, Refused: 4, Exceptions: map[string]int{"live": 5}, Messages: 6, IndexBytes: 1 << 20, Troubles: 1,
		}
	}, false)
	m.Searched(3 * time.Millisecond)
	var ill error
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, m.Handler(func(context.Context) error { return ill })) }()
	get := func(path string) (int, string) {
		t.Helper()
		r, err := http.Get("http://" + listener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	status, text := get("/metrics")
	for _, line := range []string{
		`mailwhy_ingest_lag_seconds{source="/var/log/maillog?"} 1.5`, `mailwhy_ingest_behind_bytes{source="/var/log/maillog?"} 7`, `mailwhy_ingest_problem{source="/var/log/maillog?"} 1`,
		`mailwhy_unrecognised_failing_lines_total{source="/var/log/maillog?"} 2`, `mailwhy_sessions{by="ssh"} 3`, `mailwhy_connections_refused_total 4`,
		`mailwhy_exceptions{state="live"} 5`, `mailwhy_index_messages 6`, `mailwhy_index_bytes 1.048576e+06`, `mailwhy_troubles 1`,
		`mailwhy_search_seconds_bucket{le="0.0025"} 0`, `mailwhy_search_seconds_bucket{le="0.005"} 1`,
	} {
		if status != http.StatusOK || !strings.Contains(text, line+"\n") {
			t.Errorf("status %d, no line %s in\n%s", status, line, text)
		}
	}
	if status, text := get("/healthz"); status != http.StatusOK || text != "ok\n" {
		t.Errorf("healthy: %d %q", status, text)
	}
	ill = errors.New("the logs are not followed")
	if status, text := get("/healthz"); status != http.StatusServiceUnavailable || text != "the logs are not followed\n" {
		t.Errorf("ill: %d %q", status, text)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestMetricsOfTenants(t *testing.T) {
	of := func(messages int, refused int64) func(context.Context) Reading {
		return func(context.Context) Reading { return Reading{Messages: messages, Refused: refused} }
	}
	m := NewMetrics(of(0, 4), true)
	m.Tenant("acme", of(6, -1)).Searched(time.Millisecond)
	m.Tenant("globex", of(7, -1))
	answer := httptest.NewRecorder()
	m.Handler(func(context.Context) error { return nil }).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	text := answer.Body.String()
	for _, want := range []string{`mailwhy_index_messages{tenant="acme"} 6`, `mailwhy_index_messages{tenant="globex"} 7`,
		`mailwhy_connections_refused_total{tenant=""} 4`, `mailwhy_search_seconds_count{tenant="acme"} 1`, `mailwhy_search_seconds_count{tenant="globex"} 0`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "\nmailwhy_connections_refused_total"); n != 1 {
		t.Errorf("connections turned away are counted %d times", n)
	}
}

func TestLogNamesNobody(t *testing.T) {
	var out strings.Builder
	NewLogger(&out).Info("mail of alice@acme.example", "error", errors.New("no <bob@corp.example>"), "actor", "anna", "n", 3)
	var line map[string]any
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
		t.Fatal(err)
	}
	if line["msg"] != "mail of ***@acme.example" || line["error"] != "no <***@corp.example>" || line["actor"] != "anna" || line["n"] != 3.0 {
		t.Errorf("%v", line)
	}
}
