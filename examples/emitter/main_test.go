package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		require.NoError(t, run(&out))
		assert.Equal(t, `malformed                                  ada is there: true
for a session that nobody knows            ada is there: true
late: meant the ada of a minute ago        ada is there: true
in time                                    ada is there: false
doubled                                    ada is there: false
half of 10 events lost: 5 sessions left behind
after the idle timeout: 0
11 sessions ended: 6 by an event, 5 by the idle timeout
warning: 45% of the sessions had to be caught by a backstop: events do not arrive
after Close the host has 0 listeners
`, out.String())
	})
}

func TestDeletions(t *testing.T) {
	host := &Host{}
	type event struct {
		id string
		at time.Time
	}
	var got []event
	cancel, err := deletions(host)(func(id string, at time.Time) { got = append(got, event{id, at}) })
	require.NoError(t, err)

	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	host.Emit(sessionDeleted)
	host.Emit(sessionDeleted, nil, at)
	host.Emit(sessionDeleted, 42)
	host.Emit("session.created", "a", at)
	assert.Empty(t, got, "not for us")

	host.Emit(sessionDeleted, "a", at)
	host.Emit(sessionDeleted, "b")
	host.Emit(sessionDeleted, "c", "yesterday")
	want := []event{{"a", at}, {"b", time.Time{}}, {"c", time.Time{}}}
	assert.Equal(t, want, got)

	cancel()
	host.Emit(sessionDeleted, "d", at)
	assert.Equal(t, want, got, "after cancel")
	assert.Zero(t, host.Listeners(sessionDeleted))
}
