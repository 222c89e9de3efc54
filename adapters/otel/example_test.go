package sessionmapotel_test

import (
	"context"
	"fmt"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sessionmap/sessionmap"
	sessionmapotel "github.com/sessionmap/sessionmap/adapters/otel"
)

// Gives the figures of all maps of the process to the SDK. A program would have a reader that exports them.
func ExampleRegister() {
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	unregister, err := sessionmapotel.Register(provider)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unregister()

	agents := sessionmap.MustNew[string, string](sessionmap.WithName("agents"))
	defer agents.Close()
	agents.Set("session-1", "Ada")
	agents.Set("session-2", "Grace")
	show(reader, "sessionmap.session.count")
	// Output: agents: 2 {session}
}

// Gives those of the groups only.
func ExampleWithFilter() {
	reader := sdk.NewManualReader()
	unregister, err := sessionmapotel.Register(sdk.NewMeterProvider(sdk.WithReader(reader)),
		sessionmapotel.WithFilter(func(in sessionmap.Instance) bool { return in.Group }))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unregister()

	agents := sessionmap.MustNew[string, string](sessionmap.WithName("agents"))
	defer agents.Close()
	chats := sessionmap.MustNewGroup[string](sessionmap.WithName("chats"))
	defer chats.Close()
	chats.Touch("session-1")
	show(reader, "sessionmap.session.count")
	// Output: chats: 1 {session}
}

func show(reader sdk.Reader, name string) {
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &collected); err != nil {
		fmt.Println(err)
		return
	}
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
				name, _ := point.Attributes.Value("sessionmap.map")
				fmt.Printf("%s: %d %s\n", name.AsString(), point.Value, m.Unit)
			}
		}
	}
}
