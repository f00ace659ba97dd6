"""Who may do what: Cedar policies, sensitivity, consent classes, decisions as values."""
