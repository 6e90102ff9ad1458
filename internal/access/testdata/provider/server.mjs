// An OpenID Connect provider for the tests of signing in: oidc-provider, which is certified by
// the OpenID Foundation. Whoever gives a login is signed in as that subject, with the claims below.
//
//   node server.mjs PORT CALLBACK HOME     prints "ready" when it answers
import Provider from 'oidc-provider'

const [port, callback, home] = process.argv.slice(2)
const issuer = `http://127.0.0.1:${port}`
const people = {
  leader: { name: 'Leyla Karimova', groups: ['dgc-leaders', 'chess-club'] },
  officer: { name: 'Oʻktam Aliyev', groups: ['customs-officers'], org_code: 'customs-committee' },
  granted: { name: 'Granted by hand' },
  stranger: { name: 'No Role' },
}
const gone = new Set()

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'ombor', client_secret: 'a-secret-of-the-tests', redirect_uris: [callback], post_logout_redirect_uris: [home],
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
  }],
  claims: { openid: ['sub'], profile: ['name', 'groups', 'org_code'] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  ttl: { AccessToken: 2, IdToken: 600, RefreshToken: 600, Session: 600, Grant: 600, Interaction: 600 },
  rotateRefreshToken: true,
  issueRefreshToken: () => true,
  cookies: { keys: ['of the tests'] },
  findAccount: (ctx, id) => people[id] && !gone.has(id) ? { accountId: id, claims: () => ({ sub: id, ...people[id] }) } : undefined,
})
provider.use(async (ctx, next) => {
  const [, what, id] = ctx.path.split('/')
  if (what === 'dismiss') { // somebody leaves
    gone.add(id)
    ctx.body = 'gone'
  } else if (what === 'move') { // somebody gets other work
    people[id].groups = ['customs-officers']
    people[id].org_code = 'tax-committee'
    ctx.body = 'moved'
  } else {
    await next()
  }
})
provider.listen(port, '127.0.0.1', () => console.log('ready'))
