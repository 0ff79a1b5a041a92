package web

// adminViews are the pages of who looks after the machine.
func (s *Server) adminViews() []route { return nil }
