// Package gin is what the tests need of the real one.
package gin

type Context struct{}

func (*Context) ClientIP() string { return "" }

type HandlerFunc func(*Context)
