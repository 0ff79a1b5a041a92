// Package radio connects Meshtastic's official client, which shares no code
// with drey, to the simulated radio: the ether is honest when the client
// cannot tell.
package radio
