// Package bridge holds the end-to-end tests of the way to public relays and
// back: real nodes, a relay of foreign code (khatru) in a process of its own,
// nostr-tools as the people's apps, and a radio. They need root, ip, node and
// npm, and the build tag e2e.
package bridge
