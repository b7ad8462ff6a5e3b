"""HQ: releases, requirements and blobs on the LAN, over HTTP."""
