import react from '@vitejs/plugin-react'
import { loadEnv } from 'vite'
import { defineConfig } from 'vitest/config'

// The page is served under a content security policy of 'self' alone: nothing is
// inlined, neither fonts nor small images.
export default defineConfig(({ mode }) => ({
  plugins: [react()],
  build: { assetsInlineLimit: 0, target: 'es2023', modulePreload: { polyfill: false }, chunkSizeWarningLimit: 700 },
  server: { proxy: Object.fromEntries(['/v1', '/docs', '/openapi.json'].map((path) => [path, loadEnv(mode, '.', 'OMBOR_').OMBOR_URL ?? 'http://127.0.0.1:8080'])) },
  test: { environment: 'jsdom', include: ['src/**/*.test.{ts,tsx}'] },
}))
