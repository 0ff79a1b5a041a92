// Package web is the node's door for people and programs on the same machine
// and the same network: an HTTP API with live streams, a Go client for it, and
// a page that works without scripts.
//
// Who asks decides what is allowed. On the unix socket the kernel says who it
// is: the owner of the node is its admin, everybody else who may open the
// socket reads and publishes. On TCP whoever shows the token from the same
// machine is the admin, and everybody else is a guest.
package web
