package sessionleak

import "go/types"

type kind int

const (
	other kind = iota
	goMap
	syncMap
	wrapper // a type with the methods of a map
	slice
)

// kindOf tells what sort of container a type is.
func kindOf(t types.Type) kind {
	if t == nil {
		return other
	}
	t = types.Unalias(t)
	if p, ok := t.Underlying().(*types.Pointer); ok {
		if k := kindOf(p.Elem()); k == syncMap || k == wrapper {
			return k
		}
		return other
	}
	if named, ok := t.(*types.Named); ok {
		obj := named.Obj()
		if obj.Pkg() != nil && obj.Pkg().Path() == "sync" && obj.Name() == "Map" {
			return syncMap
		}
		if isWrapper(named) {
			return wrapper
		}
	}
	switch t.Underlying().(type) {
	case *types.Map:
		return goMap
	case *types.Slice:
		return slice
	}
	return other
}

var (
	inserting = []string{"Store", "LoadOrStore", "LoadOrCompute", "LoadAndStore", "Compute", "Set", "SetIfAbsent", "Upsert", "Put", "GetOrSet", "GetOrInsert", "Swap"}
	removing  = []string{"Delete", "LoadAndDelete", "CompareAndDelete", "Del", "Remove", "RemoveCb", "Pop", "GetAndDel", "GetAndDelete", "DeleteAndLoad", "LoadAndRemove", "Take"}
	emptying  = []string{"Clear", "Purge", "Reset", "Flush"}
)

// isWrapper reports whether a type is a map with a lock: generic, called so, with methods to insert and to remove, and none
// that would bound it. Others are seen from inside.
func isWrapper(named *types.Named) bool {
	if named.TypeArgs().Len() == 0 {
		return false
	}
	if !hasWord(named.Obj().Name(), "map", "hmap") || hasWord(named.Obj().Name(), "ttl", "lru", "cache", "expiring", "robust") {
		return false
	}
	if _, ok := named.Underlying().(*types.Struct); !ok {
		if _, ok := named.Underlying().(*types.Slice); !ok { // the shards of cmap
			return false
		}
	}
	return hasMethod(named, inserting) && hasMethod(named, removing)
}

func hasMethod(named *types.Named, names []string) bool {
	set := types.NewMethodSet(types.NewPointer(named))
	for _, name := range names {
		if sel := set.Lookup(named.Obj().Pkg(), name); sel != nil {
			return true
		}
	}
	return false
}
