// Package nostr lets nostr-tools, which shares no code with drey, judge the
// events that a real node prints.
package nostr
