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

// visit does over HTTP what somebody with a browser would: look, log in, look twice, log out, look again.
// It fails where the server's answer is not the one to expect.
func visit(ctx context.Context, w io.Writer, server string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	client := &http.Client{Jar: jar}
	defer client.CloseIdleConnections()
	for _, step := range []struct {
		method, path string
		form         url.Values
		want         int
	}{
		{"GET", "/", nil, http.StatusUnauthorized},
		{"POST", "/login", url.Values{"user": {"Ada"}}, http.StatusOK},
		{"GET", "/", nil, http.StatusOK},
		{"GET", "/", nil, http.StatusOK},
		{"POST", "/logout", nil, http.StatusOK},
		{"GET", "/", nil, http.StatusUnauthorized},
	} {
		status, body, err := send(ctx, client, step.method, server+step.path, step.form)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-4s %-8s %d %s", step.method, step.path, status, body)
		if status != step.want {
			return fmt.Errorf("%s %s: status %d, want %d", step.method, step.path, status, step.want)
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
