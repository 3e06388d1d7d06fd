package mimecast

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func (c *Client) authorise(ctx context.Context, req *http.Request) error {
	if c.Old() {
		return c.sign(req)
	}
	token, err := c.bearer(ctx)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// sign makes API 1.0's signature: HMAC-SHA1 over date, request id, path and
// application key.
func (c *Client) sign(req *http.Request) error {
	secret, err := base64.StdEncoding.DecodeString(c.keys.SecretKey)
	if err != nil {
		return errors.New("the secret_key of the API is not base64")
	}
	date := c.now().UTC().Format("Mon, 02 Jan 2006 15:04:05") + " UTC"
	id := requestID()
	mac := hmac.New(sha1.New, secret)
	mac.Write([]byte(date + ":" + id + ":" + req.URL.Path + ":" + c.keys.AppKey))
	req.Header.Set("Authorization", "MC "+c.keys.AccessKey+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	req.Header.Set("x-mc-app-id", c.keys.AppID)
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

func (c *Client) bearer(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && c.now().Before(c.expires) {
		return c.token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.keys.ClientID}, "client_secret": {c.keys.ClientSecret}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, header, body, err := c.exchange(req, 0)
	if err != nil {
		return "", err
	}
	if status == http.StatusTooManyRequests {
		return "", &RateLimitError{resetOf(header)}
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if status != http.StatusOK || json.Unmarshal(body, &answer) != nil || answer.AccessToken == "" {
		return "", &Error{status, "no token", "the client id or secret is not accepted"} // the answer may quote the secret
	}
	life := time.Duration(answer.ExpiresIn) * time.Second
	c.token, c.expires = answer.AccessToken, c.now().Add(max(life-tokenMargin, life/2))
	return c.token, nil
}

// forget makes the next call ask for a new token.
func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = ""
}
