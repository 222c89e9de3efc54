package main

func Example() {
	main()
	// Output:
	//   answered: what is a session?
	//   answered: and when does it end?
	// session-1 released: deleted
	// session-2 released: session deleted
	// session-3 released: closed
	// 3 sessions, 0 live, 3 ended, 0% of them by a backstop
}
