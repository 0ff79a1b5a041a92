// Package qr lets scanners of other makers read our QR codes from pictures of a
// real terminal: xterm on a virtual screen, in dark, light and odd themes.
package qr
