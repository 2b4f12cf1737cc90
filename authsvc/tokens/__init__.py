"""What is issued: access, ID and logout tokens, opaque values, and their revocation.

Owns: what each token says, how it is checked, and what taking it back means. Does not
own: who may have one (``oauth``), and signatures (``signing``). RFC 9068, RFC 7009,
OpenID Connect Core §2, Back-Channel Logout §2.4.
"""
