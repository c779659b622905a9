"""Credit operations: what issues, adjusts, merges and takes back credit. A request is checked, planned and recorded.

`requests` says what can be asked and `values` what is meant by it, a module for each family of operations plans what it
comes to, `engine` previews and processes, `posting` writes the ledger. All that is true of every operation is in
`engine`.
"""
