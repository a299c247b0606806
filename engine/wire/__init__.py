"""Wire protocols without IO: bytes and the time go in, actions come out."""
