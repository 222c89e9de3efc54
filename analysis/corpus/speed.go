package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

const rounds = 3

// speed prints how long go vet and the command take for each module, the least of a few rounds each.
func speed(tool, dir string, modules []string) error {
	fmt.Println("| module | go vet | sessionmapvet | times |\n|---|---|---|---|")
	var ratios []float64
	var vetted, looked time.Duration
	for _, module := range modules {
		var least [2]time.Duration
		for round := range rounds {
			took, err := both(tool, filepath.Join(dir, fmt.Sprint("src", round)), module, round)
			if err != nil {
				return fmt.Errorf("%s: %w", module, err)
			}
			for i, d := range took {
				least[i] = min(cmp.Or(least[i], d), d)
			}
		}
		vetted, looked = vetted+least[0], looked+least[1]
		ratios = append(ratios, least[1].Seconds()/least[0].Seconds())
		fmt.Printf("| %s | %.2f s | %.2f s | %.2f |\n", module, least[0].Seconds(), least[1].Seconds(), ratios[len(ratios)-1])
	}
	if len(ratios) == 0 {
		return nil
	}
	slices.Sort(ratios)
	fmt.Printf("all: go vet %.1f s, sessionmapvet %.1f s, %.2f times; by module %.2f at best, %.2f in the middle, %.2f at worst\n",
		vetted.Seconds(), looked.Seconds(), looked.Seconds()/vetted.Seconds(), ratios[0], ratios[len(ratios)/2], ratios[len(ratios)-1])
	return nil
}

// both times go vet, and then the command, or the other way round, over the packages of a module that have been compiled but
// not vetted: their directory is new, so that neither finds in the build cache what it has to say.
func both(tool, dir, module string, round int) (took [2]time.Duration, err error) {
	if err := copyModule(dir, module); err != nil {
		return took, err
	}
	defer os.RemoveAll(dir)
	run := func(name string, args ...string) time.Duration {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = dir, moduleEnv()
		began := time.Now()
		_ = cmd.Run() // both have a status for what they report
		return time.Since(began)
	}
	run("go", "build", "./...")
	run("go", "list", "-export", "./...")
	for i := range took {
		if (i+round)%2 == 0 {
			took[0] = run("go", "vet", "./...")
		} else {
			took[1] = run(tool, "./...")
		}
	}
	return took, nil
}
