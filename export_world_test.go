package sessionmap

// SameHash reports whether the map has the same hash for all keys.
func SameHash[K comparable, V any](m *RobustSessionMap[K, V], keys []K) bool {
	for _, key := range keys {
		first, _ := m.hash(keys[0])
		if hash, ok := m.hash(key); !ok || hash != first {
			return false
		}
	}
	return true
}
