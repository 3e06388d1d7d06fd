package publish

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// MimecastKeys are the secrets of an API application: ClientID and ClientSecret
// of API 2.0, the other four of API 1.0.
type MimecastKeys struct {
	ClientID, ClientSecret              string
	AppID, AppKey, AccessKey, SecretKey string
}

// MimecastAPI speaks Mimecast's administration API, 2.0 with OAuth client
// credentials or 1.0 with an HMAC signature (the vendor's pages "API 2.0
// Authentication" and "Authorization" of API 1.0). It is safe for use by many
// goroutines.
type MimecastAPI struct {
	base string
	old  bool // API 1.0
	keys MimecastKeys
	http *http.Client
	now  func() time.Time

	mu      sync.Mutex
	token   string
	expires time.Time
}

// NewMimecastAPI makes a client for a base address such as
// https://eu-api.services.mimecast.com. Version is "2.0" or "1.0"; now nil is
// time.Now. It asks nothing yet.
func NewMimecastAPI(base, version string, keys MimecastKeys, now func() time.Time) (*MimecastAPI, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Hostname() != "127.0.0.1" {
		return nil, fmt.Errorf("the address of the API %q is not https://host", base)
	}
	a := &MimecastAPI{base: strings.TrimSuffix(base, "/"), old: version == "1.0", keys: keys, http: &http.Client{Timeout: 30 * time.Second}, now: now}
	if now == nil {
		a.now = time.Now
	}
	if a.old && (keys.AccessKey == "" || keys.SecretKey == "" || keys.AppID == "" || keys.AppKey == "") {
		return nil, errors.New("API 1.0 needs access_key, secret_key, app_id and app_key in the credentials file or the environment")
	}
	if !a.old && (keys.ClientID == "" || keys.ClientSecret == "") {
		return nil, errors.New("API 2.0 needs client_id and client_secret in the credentials file or the environment")
	}
	return a, nil
}

// apiRequest is one call; Body nil is none.
type apiRequest struct {
	Method, Path string
	Body         any
}

// text is the call as a dry run shows it.
func (r apiRequest) text(base string) string {
	line := r.Method + " " + base + r.Path
	if r.Body != nil {
		body, err := json.Marshal(r.Body)
		if err != nil {
			return line
		}
		line += " " + string(body)
	}
	return line
}

// The bounds of a conversation.
const (
	longestAnswer = 16 << 20
	longestWait   = 5 * time.Second // for a rate limit; past it the caller comes back later
	mostPages     = 200
	pageSize      = 100
)

// RateLimitError says that the API wants to be left alone.
type RateLimitError struct{ Reset time.Duration }

// Error names the time to wait.
func (e *RateLimitError) Error() string {
	return fmt.Sprintf("the API's rate limit is used up; it is free again in %s", e.Reset.Round(time.Second))
}

// apiAnswer is the envelope of every answer. The API answers 200 with a filled
// fail list, so that list is what counts.
type apiAnswer struct {
	Meta struct {
		Status     int `json:"status"`
		Pagination struct {
			Next string `json:"next"`
		} `json:"pagination"`
	} `json:"meta"`
	Data json.RawMessage `json:"data"`
	Fail []struct {
		Errors []apiFault `json:"errors"`
	} `json:"fail"`
}

type apiFault struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
}

// APIError is a refusal of the API.
type APIError struct {
	Status        int
	Code, Message string
}

// Error gives the API's words.
func (e *APIError) Error() string {
	return fmt.Sprintf("the API answers %d %s: %s", e.Status, short(e.Code), short(e.Message))
}

// call makes one call: a token that ran out is renewed once, a short rate limit
// waited for once.
func (a *MimecastAPI) call(ctx context.Context, r apiRequest) (apiAnswer, []byte, error) {
	renewed, waited := false, false
	for {
		status, header, body, err := a.send(ctx, r)
		switch {
		case err != nil:
			return apiAnswer{}, nil, err
		case status == http.StatusUnauthorized && !renewed && !a.old:
			renewed = true
			a.forget()
			continue
		case status == http.StatusTooManyRequests:
			reset := resetOf(header)
			if waited || reset > longestWait {
				return apiAnswer{}, nil, &RateLimitError{reset}
			}
			waited = true
			if err := pause(ctx, reset); err != nil {
				return apiAnswer{}, nil, err
			}
			continue
		}
		return understand(status, body)
	}
}

func understand(status int, body []byte) (apiAnswer, []byte, error) {
	var answer apiAnswer
	err := json.Unmarshal(body, &answer)
	if len(answer.Fail) > 0 {
		first := apiFault{Code: "fail", Message: "without a reason"}
		if faults := answer.Fail[0].Errors; len(faults) > 0 {
			first = faults[0]
		}
		return answer, body, &APIError{status, first.Code, first.Message}
	}
	if status < 200 || status > 299 {
		return answer, body, &APIError{status, http.StatusText(status), string(body)}
	}
	if err != nil && len(bytes.TrimSpace(body)) > 0 {
		return answer, body, fmt.Errorf("the API's answer is not JSON: %w", err)
	}
	return answer, body, nil
}

// resetOf reads how long a rate limit lasts: X-RateLimit-Reset in milliseconds,
// or Retry-After in seconds (RFC 9110 section 10.2.3).
func resetOf(header http.Header) time.Duration {
	if ms, err := strconv.ParseInt(header.Get("X-RateLimit-Reset"), 10, 64); err == nil && ms >= 0 {
		return time.Duration(ms) * time.Millisecond
	}
	if s, err := strconv.ParseInt(header.Get("Retry-After"), 10, 64); err == nil && s >= 0 {
		return time.Duration(s) * time.Second
	}
	return time.Minute
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (a *MimecastAPI) send(ctx context.Context, r apiRequest) (int, http.Header, []byte, error) {
	var body io.Reader
	if r.Body != nil {
		text, err := json.Marshal(r.Body)
		if err != nil {
			return 0, nil, nil, fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, a.base+r.Path, body)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if err := a.authorise(ctx, req); err != nil {
		return 0, nil, nil, err
	}
	return a.exchange(req)
}

func (a *MimecastAPI) exchange(req *http.Request) (int, http.Header, []byte, error) {
	resp, err := a.http.Do(req)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("ask the API: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, longestAnswer))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("read the API's answer: %w", err)
	}
	return resp.StatusCode, resp.Header, data, nil
}

func (a *MimecastAPI) authorise(ctx context.Context, req *http.Request) error {
	if a.old {
		return a.sign(req)
	}
	token, err := a.bearer(ctx)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// sign makes API 1.0's signature: HMAC-SHA1 over date, request id, path and
// application key.
func (a *MimecastAPI) sign(req *http.Request) error {
	secret, err := base64.StdEncoding.DecodeString(a.keys.SecretKey)
	if err != nil {
		return errors.New("the secret_key of the API is not base64")
	}
	date := a.now().UTC().Format("Mon, 02 Jan 2006 15:04:05") + " UTC"
	id := requestID()
	mac := hmac.New(sha1.New, secret)
	mac.Write([]byte(date + ":" + id + ":" + req.URL.Path + ":" + a.keys.AppKey))
	req.Header.Set("Authorization", "MC "+a.keys.AccessKey+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	req.Header.Set("x-mc-app-id", a.keys.AppID)
	req.Header.Set("x-mc-date", date)
	req.Header.Set("x-mc-req-id", id)
	return nil
}

// requestID is a random GUID (RFC 9562 version 4).
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// tokenMargin is how long before its end a token is no longer used.
const tokenMargin = time.Minute

func (a *MimecastAPI) bearer(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" && a.now().Before(a.expires) {
		return a.token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {a.keys.ClientID}, "client_secret": {a.keys.ClientSecret}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, _, body, err := a.exchange(req)
	if err != nil {
		return "", err
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if status != http.StatusOK || json.Unmarshal(body, &answer) != nil || answer.AccessToken == "" {
		return "", &APIError{status, "no token", "the client id or secret is not accepted"} // the answer may quote the secret
	}
	life := time.Duration(answer.ExpiresIn) * time.Second
	a.token, a.expires = answer.AccessToken, a.now().Add(max(life-tokenMargin, life/2))
	return a.token, nil
}

func (a *MimecastAPI) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = ""
}

// list reads every page of a call. each gets one page's answer. A page that
// leads back to an earlier one is an error, not an endless loop, and so is an
// end that the API gives without saying so.
func (a *MimecastAPI) list(ctx context.Context, page func(token string) apiRequest, each func(apiAnswer, []byte) error) error {
	seen := map[string]bool{}
	for token, n := "", 0; ; n++ {
		answer, body, err := a.call(ctx, page(token))
		if err != nil {
			return err
		}
		if err := each(answer, body); err != nil {
			return err
		}
		token = answer.Meta.Pagination.Next
		if token == "" {
			return nil
		}
		if seen[token] || n > mostPages {
			return errors.New("the API's pages lead in a circle: the list is not known in full")
		}
		seen[token] = true
	}
}

// paged is an API 1.0 body: the pagination, and one item of data when there is
// one.
func paged(token string, data ...any) map[string]any {
	pagination := map[string]any{"pageSize": pageSize}
	if token != "" {
		pagination["pageToken"] = token
	}
	if data == nil {
		data = []any{}
	}
	return map[string]any{"meta": map[string]any{"pagination": pagination}, "data": data}
}
