// The review page.
