package main

// A part is a command that passes or fails, and tells figures.
type part struct {
	name, command string
	needs         string   // a program that not every machine has; the part is left out where it is missing
	also          []string // the directories of what it is about, besides the library
}

// Gremlins writes "LIVED CONDITIONALS_BOUNDARY at debugpage/snapshot.go:64:9", "Killed: 60, Lived: 3, Not covered: 0" and
// "Timed out: 0, Not viable: 0, Skipped: 0".
const (
	gremlins  = "github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0"
	inFigures = `s/^ *LIVED (.*)$/survivor: \1/p; s/^Killed: ([0-9]+), Lived: ([0-9]+), Not covered: ([0-9]+)$/killed=\1 survived=\2 uncovered=\3/p; s/^Timed out: ([0-9]+), .*$/hanging=\1/p`
)

var parts = []part{
	{name: "model", command: "go test -v -count=1 -timeout 3h -run 'Test(Group|Weak)?Model$' -modelsteps 50000 ."},
	{name: "histories", command: "go test -v -count=1 -timeout 3h -run Linearizable -histories 20000 ."},
	{name: "explore", command: "go run ./proof/explore -bound 3 -budget 60000 -random 10000"},
	{name: "chance", command: "go run ./proof/explore -chance 20000 -bound 2 -budget 250"},
	{name: "shaken", command: "go run ./proof/shake -- -v -timeout 3h -modelsteps 5000 -histories 5000"},
	// The leak checker measures the heap, which the race detector and idle processors enlarge: it is left to .ci/run race.
	{name: "race", command: "go test -race -v -count=1 -cpu 1,2,8,32 -timeout 3h . ./debugpage", also: []string{"debugpage"}},
	{name: "mutants", command: "go run ./proof/mutants -report"},
	{name: "operators", command: "go run ./proof/mutants -generic all -sample 40 -report"},
	{name: "gremlins", command: "GOFLAGS=-count=1 GOWORK=off go run " + gremlins + ` unleash -S l --timeout-coefficient 30 ./debugpage | sed -n -E '` + inFigures + `'`, also: []string{"debugpage"}},
	{name: "world", command: "go test -v -count=1 -timeout 3h -run World -faults 50 ."},
	{name: "fuzz", command: "for target in FuzzModel FuzzGroupModel FuzzOps; do go test -run '^$' -fuzz \"^$target\\$\" -fuzztime ${FUZZTIME:-3000000x} -fuzzminimizetime 20x .; done"},
	{name: "leaks", command: "go test -v -count=1 -timeout 3h -run TestRounds ./leakcheck -args -leakcheck.clean=200 -leakcheck.planted=50", also: []string{"leakcheck"}},
	{name: "386", command: "CGO_ENABLED=0 GOARCH=386 go test -v -count=1 ./...", also: []string{"debugpage", "leakcheck"}},
	{name: "arm64", command: "CGO_ENABLED=0 GOARCH=arm64 go test -v -count=1 -vet=off -timeout 1h -exec qemu-aarch64 .", needs: "qemu-aarch64"},
	{name: "windows", command: "CGO_ENABLED=0 GOOS=windows go test -v -count=1 -vet=off -timeout 1h -exec wine .", needs: "wine"},
	{name: "machine", command: "go run ./proof/machine"},
}
