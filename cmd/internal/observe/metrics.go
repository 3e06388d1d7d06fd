// Package observe tells the people who run the server how it does: metrics in
// Prometheus's form, a health check, and a log of JSON lines in which nobody is
// named by address.
//
//	m := observe.NewMetrics(read, false)
//	err := observe.Serve(ctx, listener, m, healthy)
//
// It must not know what it counts: a Reading is all that it is given.
package observe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Reading is how the server does at one moment.
type Reading struct {
	Sources    []Source
	Sessions   map[string]int // open, by how they came: ssh, local
	Refused    int64          // connections turned away unread; -1 = the server's own reading has them
	Exceptions map[string]int // by state
	Messages   int            // in the index
	IndexBytes int64          // on disk, the stored lines included
	Troubles   int            // what keeps the program from its work
}

// Source is how one log is read.
type Source struct {
	Path         string
	Lag          time.Duration
	Behind       int64 // bytes
	Lines        int64
	Unrecognised int64 // lines that look like failures and were not understood
	Problem      bool
}

// Metrics are the server's. They are read when they are asked for.
type Metrics struct {
	registry *prometheus.Registry
	search   prometheus.Histogram
	read     func(context.Context) Reading
}

// The metrics that a Reading gives.
var (
	lag          = describe("ingest_lag_seconds", "time since the newest line was read, while the log is ahead", "source")
	behind       = describe("ingest_behind_bytes", "bytes of the log that are not read yet", "source")
	lines        = describe("ingest_lines_total", "lines read", "source")
	unrecognised = describe("unrecognised_failing_lines_total", "lines that look like failures and were not understood", "source")
	problem      = describe("ingest_problem", "1 while the log cannot be read", "source")
	sessions     = describe("sessions", "open sessions", "by")
	refused      = describe("connections_refused_total", "connections turned away before a byte was read")
	exceptions   = describe("exceptions", "exceptions and proposals", "state")
	messages     = describe("index_messages", "messages in the index")
	indexBytes   = describe("index_bytes", "size of the index on disk, stored lines included")
	troubles     = describe("troubles", "what keeps the program from its work; mailwhy sources says what")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mailwhy_"+name, help, labels, nil)
}

// NewMetrics makes metrics that ask read at every scrape. With shared they bear
// the label tenant, which is empty for what is the server's own, and Tenant adds
// those of its tenants. Those of the process and of Go's runtime are among them,
// by the names that Prometheus gives them.
func NewMetrics(read func(context.Context) Reading, shared bool) *Metrics {
	m := newPart(prometheus.NewRegistry(), read)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if shared {
		m.register("")
	} else {
		m.registry.MustRegister(m.search, m)
	}
	return m
}

// Tenant adds the metrics of a tenant of a shared server, once for each name.
func (m *Metrics) Tenant(name string, read func(context.Context) Reading) *Metrics {
	part := newPart(m.registry, read)
	part.register(name)
	return part
}

func newPart(r *prometheus.Registry, read func(context.Context) Reading) *Metrics {
	return &Metrics{registry: r, read: read, search: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "mailwhy_search_seconds", Help: "time to a page of what a query finds",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	})}
}

func (m *Metrics) register(tenant string) {
	prometheus.WrapRegistererWith(prometheus.Labels{"tenant": tenant}, m.registry).MustRegister(m.search, m)
}

// Searched counts a search in.
func (m *Metrics) Searched(took time.Duration) { m.search.Observe(took.Seconds()) }

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lag, behind, lines, unrecognised, problem, sessions, refused, exceptions, messages, indexBytes, troubles} {
		to <- d
	}
}

// patience bounds a scrape.
const patience = 5 * time.Second

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := m.read(ctx)
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	for _, s := range r.Sources {
		path := strings.ToValidUTF8(s.Path, "?")
		send(lag, prometheus.GaugeValue, s.Lag.Seconds(), path)
		send(behind, prometheus.GaugeValue, float64(s.Behind), path)
		send(lines, prometheus.CounterValue, float64(s.Lines), path)
		send(unrecognised, prometheus.CounterValue, float64(s.Unrecognised), path)
		broken := 0.0
		if s.Problem {
			broken = 1
		}
		send(problem, prometheus.GaugeValue, broken, path)
	}
	for by, n := range r.Sessions {
		send(sessions, prometheus.GaugeValue, float64(n), by)
	}
	for state, n := range r.Exceptions {
		send(exceptions, prometheus.GaugeValue, float64(n), state)
	}
	if r.Refused >= 0 {
		send(refused, prometheus.CounterValue, float64(r.Refused))
	}
	send(messages, prometheus.GaugeValue, float64(r.Messages))
	send(indexBytes, prometheus.GaugeValue, float64(r.IndexBytes))
	send(troubles, prometheus.GaugeValue, float64(r.Troubles))
}

// Handler answers /metrics, and /healthz with 200 while healthy returns nil;
// its error is a sentence that names nobody.
func (m *Metrics) Handler(healthy func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 2 * patience}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		if err := healthy(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// Serve answers on a listener until ctx ends; it closes the listener.
func Serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: patience, ReadTimeout: patience, WriteTimeout: 3 * patience, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); ctx.Err() == nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
