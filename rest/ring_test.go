package rest_test

import "fmt"

// versionPath is where a version of the key ring is.
func (h *house) versionPath(number any) string { return fmt.Sprintf("/v1/keyring/versions/%v", number) }
