// Command ends runs to its end, and its maps with it.
package main

import (
	"fmt"
	"sync"
)

type crawl struct {
	mu   sync.Mutex
	seen map[string]bool
	wg   sync.WaitGroup
}

var history []string

func (c *crawl) visit(taskID string, depth int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[taskID] || depth > 3 {
		return
	}
	c.seen[taskID] = true
	history = append(history, taskID)
	for i := 0; i < 3; i++ {
		c.wg.Go(func() { c.visit(fmt.Sprint(taskID, i), depth+1) })
	}
}

func main() {
	c := &crawl{seen: map[string]bool{}}
	c.visit("a", 0)
	c.wg.Wait()
	fmt.Println(len(c.seen), history)
}
