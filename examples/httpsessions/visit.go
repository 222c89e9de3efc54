package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// visit does over HTTP what somebody with two browsers would: look, log in, look, get a new id, look again; log in
// and look with the other one; log out everywhere from there; log in and out once more. It fails where the
// server's answer is not the one to expect.
func visit(ctx context.Context, w io.Writer, server string) error {
	ada := url.Values{"user": {"Ada"}}
	browsers := map[string]*http.Client{}
	for _, step := range []struct {
		browser, method, path string
		form                  url.Values
		want                  int
	}{
		{"laptop", "GET", "/", nil, http.StatusUnauthorized},
		{"laptop", "POST", "/login", ada, http.StatusOK},
		{"laptop", "GET", "/", nil, http.StatusOK},
		{"laptop", "POST", "/renew", nil, http.StatusOK},
		{"laptop", "GET", "/", nil, http.StatusOK},
		{"phone", "POST", "/login", ada, http.StatusOK},
		{"phone", "GET", "/", nil, http.StatusOK},
		{"phone", "POST", "/logout-everywhere", nil, http.StatusOK},
		{"laptop", "GET", "/", nil, http.StatusUnauthorized},
		{"laptop", "POST", "/login", ada, http.StatusOK},
		{"laptop", "POST", "/logout", nil, http.StatusOK},
		{"laptop", "GET", "/", nil, http.StatusUnauthorized},
	} {
		client := browsers[step.browser]
		if client == nil {
			jar, err := cookiejar.New(nil)
			if err != nil {
				return err
			}
			client = &http.Client{Jar: jar}
			defer client.CloseIdleConnections()
			browsers[step.browser] = client
		}
		status, body, err := send(ctx, client, step.method, server+step.path, step.form)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-6s  %-4s %-18s  %d %s", step.browser, step.method, step.path, status, body)
		if status != step.want {
			return fmt.Errorf("%s: %s %s: status %d, want %d", step.browser, step.method, step.path, status, step.want)
		}
	}
	return nil
}

func send(ctx context.Context, client *http.Client, method, url string, form url.Values) (status int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, "", err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return response.StatusCode, string(b), err
}
