// Package overlay measures the overlay between real processes on machines of
// their own, beside and through the foreign Yggdrasil daemon.
package overlay
