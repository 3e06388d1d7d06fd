package mimecast

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// TestSignature checks API 1.0's headers as the API would.
func TestSignature(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		date, id := r.Header.Get("x-mc-date"), r.Header.Get("x-mc-req-id")
		mac := hmac.New(sha1.New, []byte("secret"))
		fmt.Fprintf(mac, "%s:%s:%s:%s", date, id, r.URL.Path, "the app's key")
		if want := "MC access:" + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("Authorization") != want {
			t.Errorf("Authorization is %s, want %s", r.Header.Get("Authorization"), want)
		}
		if date != "Tue, 24 Nov 2026 12:00:00 UTC" || r.Header.Get("x-mc-app-id") != "app" || len(id) != 36 {
			t.Errorf("headers: %v", r.Header)
		}
		_, _ = w.Write([]byte(`{"meta":{"status":200},"data":[],"fail":[]}`))
	}))
	t.Cleanup(server.Close)
	c, err := New(server.URL, "1.0", Keys{AppID: "app", AppKey: "the app's key", AccessKey: "access", SecretKey: base64.StdEncoding.EncodeToString([]byte("secret"))}, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Call(t.Context(), Request{Method: http.MethodPost, Path: "/api/account/get-account", Body: map[string]any{}}); err != nil {
		t.Error(err)
	}
}

// TestFaults answers once as the API does when something is wrong, and well
// after that.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header map[string]string
		body   string
		check  func(error) bool
	}{
		"a token that ran out": {status: 401, check: func(err error) bool { return err == nil }},
		"a moment to wait":     {status: 429, header: map[string]string{"X-RateLimit-Reset": "20"}, check: func(err error) bool { return err == nil }},
		"a long time to wait": {status: 429, header: map[string]string{"Retry-After": "42"}, check: func(err error) bool {
			var limit *RateLimitError
			return errors.As(err, &limit) && limit.Reset == 42*time.Second
		}},
		"fail in a 200": {status: 200, body: `{"meta":{"status":200},"data":[],"fail":[{"errors":[{"code":"err_app_denied","message":"no","retryable":false}]}]}`, check: func(err error) bool {
			var refused *Error
			return errors.As(err, &refused) && refused.Status == 200 && refused.Code == "err_app_denied"
		}},
		"no JSON": {status: 200, body: "<html>", check: func(err error) bool { return err != nil && strings.Contains(err.Error(), "is not JSON") }},
		"a gateway's error": {status: 502, body: "<html>", check: func(err error) bool {
			var refused *Error
			return errors.As(err, &refused) && refused.Status == 502
		}},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/oauth/token" {
					_, _ = w.Write([]byte(`{"access_token":"t","expires_in":1800}`))
					return
				}
				if asked++; asked > 1 {
					_, _ = w.Write([]byte(`{}`))
					return
				}
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			t.Cleanup(server.Close)
			api, err := New(server.URL, "2.0", Keys{ClientID: "id", ClientSecret: "s3cret"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := api.Call(t.Context(), Request{Method: http.MethodGet, Path: "/x"}); !c.check(err) {
				t.Errorf("it says %v after %d calls", err, asked)
			}
		})
	}
}

// TestSecrets are in no error, whatever the API says.
func TestSecrets(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_ = r.ParseForm()
		fmt.Fprintf(w, `{"error":"%s is wrong"}`, r.Form.Get("client_secret"))
	}))
	t.Cleanup(server.Close)
	api, err := New(server.URL, "2.0", Keys{ClientID: "id", ClientSecret: "s3cret"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := api.Call(t.Context(), Request{Method: http.MethodGet, Path: "/x"}); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("it says %v", err)
	}
	for _, base := range []string{"http://api.example.com", "api.example.com", ""} {
		if _, err := New(base, "2.0", Keys{ClientID: "id", ClientSecret: "s3cret"}, nil); err == nil {
			t.Errorf("%q is taken for an address", base)
		}
	}
}
