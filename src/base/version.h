/* version.h - which portico this is. */
#pragma once

#define PORTICO_VERSION "0.1.0"
