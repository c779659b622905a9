"""The portal: pages on which accountants download workbooks and customer support looks things up.

It only reads: published workbooks and the shards' copies for readers, never a ledger, and it takes no lock. What a
number means is settled in the reports and listings that it shows; how to change one, in the operations that it names.
"""
